// Packets wake a sleeping app: the core comes first, and the pick policy says who runs on it.
#include "tests/unit/brain/allocator_fixture.h"

namespace sluice {
namespace {

using test::MachineOptions;
using test::PuppetApp;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

class ArrivalTest : public test::AllocatorTest {
 protected:
  // Both kthreads have run, each on the core of its number; kthread 1 has parked last.
  void RunBothAndPark(PuppetApp& app) {
    Spread(app, 2);
    for (const KthreadId k : {KthreadId{0}, KthreadId{1}}) {
      ASSERT_EQ(app[k].core(), k);
      app[k].Park();
      Pass();
    }
    ASSERT_THAT(Active(app), IsEmpty());
    backend.wakes.clear();
    backend.wake_cores.clear();
  }
  // As the data path does it.
  KthreadId Arrive(PuppetApp& app) {
    allocator->OnArrival(app.spec.id, now);
    const AppView& view = View(app);
    const KthreadId k = view.active.empty() ? view.landing : view.active[0];
    Send(app, k);
    return k;
  }
};

TEST_F(ArrivalTest, TheCoreIsTheOneWantedAndTheKthreadTheOneThatRanThere) {
  Make(MachineOptions(2));
  PuppetApp app(0, 2);
  Attach(app);
  RunBothAndPark(app);
  for (const CoreId core : {CoreId{0}, CoreId{1}, CoreId{0}}) {
    app.hints.wanted.reset();
    app.hints.wanted.set(core);
    EXPECT_EQ(Arrive(app), core);
    EXPECT_THAT(Active(app), ElementsAre(core)) << "steering must see it";
    ASSERT_TRUE(app[core].Start());
    Pass();
    app[core].Take(1);
    app[core].Park();
    Pass();
  }
  EXPECT_THAT(backend.wakes, ElementsAre(Pair(0, 0), Pair(0, 1), Pair(0, 0)));
  EXPECT_THAT(backend.wake_cores, ElementsAre(0, 1, 0));
}

TEST_F(ArrivalTest, WhereTheCoreMustComeBackFirstThePacketsGoToWhoWillHaveIt) {
  Make(MachineOptions(2));
  PuppetApp app(0, 2), batch(1, 2, 0, Priority::kBestEffort);
  Attach(app);
  RunBothAndPark(app);
  Attach(batch);
  Spread(batch, 2);
  backend.wakes.clear();
  app.hints.wanted.reset();
  app.hints.wanted.set(0);
  EXPECT_EQ(Arrive(app), 0) << "not the one that parked last";
  EXPECT_THAT(backend.wakes, IsEmpty());
  for (const KthreadId k : {KthreadId{0}, KthreadId{1}}) {
    if (batch[k].CedeRequested()) batch[k].Park();
  }
  Pass();
  EXPECT_THAT(backend.wakes, ElementsAre(Pair(0, 0)));
  EXPECT_TRUE(app[0].Start());
  EXPECT_EQ(app[0].core(), 0);
}

TEST_F(ArrivalTest, ABurstMoreBeforeItRunsAsksForNothingMore) {
  Make(MachineOptions(2));
  PuppetApp app(0, 2);
  Attach(app);
  Arrive(app);
  Arrive(app);
  EXPECT_EQ(backend.wakes.size(), 1u);
}

TEST_F(ArrivalTest, WithNoCoreToHaveThePacketsWaitAndOneGrantFollows) {
  Make(MachineOptions(1));
  PuppetApp app(0, 2), other(1, 1);
  Attach(app);
  Attach(other);
  WakeByPacket(other);
  const KthreadId k = Arrive(app);
  Arrive(app);
  Pass();
  EXPECT_EQ(backend.wakes.size(), 1u);
  other[0].Take(1);
  other[0].Park();
  Pass();
  EXPECT_THAT(backend.wakes, ElementsAre(Pair(1, 0), Pair(0, k)));
  ASSERT_TRUE(app[k].Start());
  app[k].Take(2);
  app[k].Park();
  for (int i = 0; i < 3; i++) Pass();
  EXPECT_EQ(backend.wakes.size(), 2u) << "nothing is left to do";
}

TEST_F(ArrivalTest, AKthreadThatWaitsWithWorkRunsNextWhateverThePickPolicySays) {
  Make(MachineOptions(2));
  PuppetApp app(0, 2), first(1, 1, 1), second(2, 1, 1);
  Attach(app);
  RunBothAndPark(app);
  Attach(first);
  Attach(second);
  WakeByPacket(first);
  WakeByPacket(second);
  backend.wakes.clear();
  Send(app, 1);  // no core for it
  app.hints.wanted.reset();
  app.hints.wanted.set(0);
  Arrive(app);
  first[0].Take(1);
  first[0].Park();  // core 0
  Pass();
  EXPECT_THAT(backend.wakes, ElementsAre(Pair(0, 1)));
}

// regression guard: packets that a parking kthread's own drain sends to a sleeping app wait for the pass to decide
TEST_F(ArrivalTest, FromWithinAPassNothingIsLost) {
  Make(MachineOptions(2));
  PuppetApp app(0, 1), sleeper(1, 2);
  Attach(app);
  Attach(sleeper);
  WakeByPacket(app);
  app[0].Take(1);
  app[0].Park();
  host.on_parked = [&](AppId, KthreadId) {
    host.on_parked = nullptr;
    Arrive(sleeper);
  };
  Pass();
  EXPECT_EQ(backend.wakes.size(), 2u);
}

}  // namespace
}  // namespace sluice
