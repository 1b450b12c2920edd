// Between passes: a core that comes back, and a timer or a kick of a sleeping app, do not wait for the interval.
#include <memory>
#include <vector>

#include "tests/unit/brain/allocator_fixture.h"

namespace sluice {
namespace {

using test::MachineOptions;
using test::PuppetApp;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

class UrgentTest : public test::ContendedTest {};

TEST_F(UrgentTest, ACoreThatIsGivenBackIsHandedOnAtOnce) {
  MakeContended(MachineOptions(1));
  allocator->Urgent(now + 100);
  EXPECT_EQ(backend.wakes.size(), 1u) << "nothing has been given back yet";
  hog[0].Park();
  allocator->Urgent(now + 200);
  EXPECT_THAT(backend.wakes.back(), Pair(1, 0));
  EXPECT_THAT(host.parked, ElementsAre(Pair(0, 0)));
  EXPECT_EQ(allocator->counters().cede_ticks_max, 200u);
  Pass();
  EXPECT_EQ(allocator->share(1).held, 1);
}

// Nobody had asked for it: the one who waits for a core gets it all the same, and not at the next pass only.
TEST_F(UrgentTest, ACoreThatIsParkedOfItsOwnAccordGoesToWhoWasRefused) {
  for (const uint32_t cores : {1u, 4u, 5u, 32u}) {
    Make(MachineOptions(cores));
    std::vector<std::unique_ptr<PuppetApp>> owners;
    for (AppId id = 0; id < cores; id++) {
      owners.push_back(std::make_unique<PuppetApp>(id, 1, 1));
      Attach(*owners.back());
      WakeByPacket(*owners.back());
      (*owners.back())[0].Take(1);
    }
    PuppetApp refused(AppId{100}, 1);
    Attach(refused);
    Send(refused, 0);
    Pass();
    backend.wakes.clear();
    for (uint32_t i = 0; i < cores; i++) allocator->Urgent(now + i);
    EXPECT_THAT(backend.wakes, IsEmpty()) << "nobody has parked";
    (*owners[cores / 2])[0].Park();
    for (uint32_t i = 0; i < (cores + 3) / 4; i++) allocator->Urgent(now + 100 + i);
    EXPECT_THAT(backend.wakes, ElementsAre(Pair(100, 0))) << cores << " cores";
  }
}

TEST_F(UrgentTest, ATimerOfASleepingAppWakesItAtOnce) {
  Make(MachineOptions(1));
  PuppetApp app(0, 1);
  Attach(app);
  NapUntil(app, now + 7000);
  Pass();
  backend.wakes.clear();
  allocator->Urgent(app[0].next_timer - 1);
  EXPECT_THAT(backend.wakes, IsEmpty());
  allocator->Urgent(app[0].next_timer);
  EXPECT_THAT(backend.wakes, ElementsAre(Pair(0, 0)));
}

TEST_F(UrgentTest, CongestionIsJudgedAtIntervalsOnly) {
  Make(MachineOptions(3));
  PuppetApp app(0, 2), other(1, 1);
  Attach(app);
  Attach(other);
  WakeByPacket(app);
  app[0].Take(1);
  NapUntil(other, now + 5050);
  app[0].Spawn(10, now);
  Pass();  // the queue has been seen, but it does not stand yet
  backend.wakes.clear();
  for (Ticks later = 1; later < 100; later++) allocator->Urgent(now + later);
  EXPECT_THAT(backend.wakes, ElementsAre(Pair(1, 0))) << "a queue stands if an interval does not empty it";
}

// Among n that sleep, within n / 4 looks.
TEST_F(UrgentTest, AKickOfASleepingAppIsSeenBetweenPasses) {
  constexpr AppId kApps = 100;
  Make(MachineOptions(kApps));
  std::vector<std::unique_ptr<PuppetApp>> apps;
  for (AppId id = 0; id < kApps; id++) {
    apps.push_back(std::make_unique<PuppetApp>(id, 1));
    Attach(*apps.back());
  }
  Pass();
  for (AppId id = 0; id < kApps; id += 7) {
    PuppetApp& kicked = *apps[id];
    kicked.Kick();
    size_t looks = 0;
    while (!kicked[0].Granted() && looks < kApps) allocator->Urgent(now + ++looks);
    EXPECT_LE(looks, kApps / 4) << id;
    ASSERT_TRUE(kicked[0].Start());
    kicked.EmptyInbox(0);
    kicked[0].Park();
    Pass();
  }
}

}  // namespace
}  // namespace sluice
