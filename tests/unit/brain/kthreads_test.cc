// What steering sees of an app, and which of its kthreads runs next.
#include "tests/unit/brain/allocator_fixture.h"

namespace sluice {
namespace {

using test::MachineOptions;
using test::PuppetApp;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

class KthreadsTest : public test::AllocatorTest {};

TEST_F(KthreadsTest, ASecondKthreadIsSteerableOnlyOnceItRuns) {
  Make(MachineOptions(4));
  PuppetApp app(0, 3);
  Attach(app);
  WakeByPacket(app);
  Pass();
  Pass();
  ASSERT_TRUE(app[1].Granted());
  EXPECT_THAT(Active(app), ElementsAre(0));
  EXPECT_FALSE(View(app).kthreads[1].steerable);
  app[1].Start();
  Pass();
  EXPECT_THAT(Active(app), ElementsAre(0, 1));
}

TEST_F(KthreadsTest, TheGrantedOneTakesThePacketsWhenTheOnlyRunnerParks) {
  Make(MachineOptions(4));
  PuppetApp app(0, 2);
  Attach(app);
  WakeByPacket(app);
  Pass();
  ASSERT_TRUE(app[1].Granted());
  app[0].Take(1);
  app[0].Park();
  Pass();
  EXPECT_THAT(Active(app), ElementsAre(1));
}

TEST_F(KthreadsTest, AfterAParkTheKthreadWithQueuedPacketsRunsNext) {
  Make(MachineOptions(1));
  PuppetApp app(0, 4);
  Attach(app);
  WakeByPacket(app);
  Send(app, 2, 3);  // was steerable a moment ago
  app[0].Take(1);
  app[0].Park();
  Pass();
  EXPECT_THAT(backend.wakes, ElementsAre(Pair(0, 0), Pair(0, 2)));
}

TEST_F(KthreadsTest, ThePreemptedKthreadRunsBeforeAnyOther) {
  Make(MachineOptions(2));
  PuppetApp app(0, 3), first(1, 1, 1), second(2, 1, 1);
  Attach(app);
  WakeByPacket(app);
  Pass();
  Pass();
  ASSERT_TRUE(app[1].Start());
  Pass();
  app[0].Take(1);
  Attach(first);
  Attach(second);
  Send(first, 0);
  Send(second, 0);
  ASSERT_TRUE(app[0].CedeRequested());
  ASSERT_TRUE(app[1].CedeRequested());
  app[1].Park(abi::kParkPreempted);
  Pass();
  app[0].Park();
  Pass();
  Send(app, 0, 4);
  Send(app, 2, 4);
  const size_t before = backend.wakes.size();
  ASSERT_TRUE(first[0].Start());
  first[0].Take(1);
  first[0].Park();
  Pass();
  // Packets wait at 0 and at 2, and 0 parked last; inside 1 a uthread was interrupted.
  ASSERT_EQ(backend.wakes.size(), before + 1);
  EXPECT_THAT(backend.wakes.back(), Pair(0, 1));
}

TEST_F(KthreadsTest, ThePreemptedOneIsTheLandingKthread) {
  Make(MachineOptions(1));
  PuppetApp app(0, 3), hog(1, 1, 1);
  Attach(app);
  WakeByPacket(app);
  app[0].Take(1);
  Attach(hog);
  Send(hog, 0);
  Pass();
  // The hog is below its guarantee: kthread 0 must go.
  ASSERT_TRUE(app[0].CedeRequested());
  EXPECT_THAT(Active(app), IsEmpty());
  app[0].Park(abi::kParkPreempted);
  Pass();
  EXPECT_TRUE(View(app).kthreads[0].preempted);
  EXPECT_EQ(View(app).landing, 0);
  ASSERT_TRUE(hog[0].Start());
  for (int i = 0; i < 20; i++) Pass();
  EXPECT_EQ(backend.wakes.size(), 2u);
  hog[0].Take(1);
  hog[0].Park();
  Pass();
  EXPECT_THAT(backend.wakes.back(), Pair(0, 0)) << "an interrupted uthread is work";
  EXPECT_FALSE(View(app).kthreads[0].preempted);
}

TEST_F(KthreadsTest, TheOneThatParkedLastTakesThePacketsMeanwhile) {
  Make(MachineOptions(2));
  PuppetApp app(0, 3);
  Attach(app);
  Spread(app, 2);
  const KthreadId second = Active(app)[1];
  app[0].Park();
  Pass();
  app[second].Park();
  Pass();
  EXPECT_EQ(View(app).landing, second);
  EXPECT_THAT(Active(app), IsEmpty());
  Send(app, second);
  EXPECT_THAT(backend.wakes.back(), Pair(0, second));
}

TEST_F(KthreadsTest, AParkThatOvertakesTheAcknowledgementIsAStartAndAPark) {
  Make(MachineOptions(1));
  PuppetApp app(0, 1);
  Attach(app);
  NapUntil(app, abi::kNoTimer);
  Pass();
  EXPECT_EQ(allocator->share(0).held, 0);
  EXPECT_EQ(allocator->cores()[0].owner, kNoApp);
  EXPECT_EQ(allocator->counters().starts, 1u);
  EXPECT_EQ(allocator->counters().start_ticks_max, 5000u);
  Send(app, 0);
  EXPECT_EQ(backend.wakes.size(), 2u);
}

TEST_F(KthreadsTest, ViewsFollowTheRings) {
  Make(MachineOptions(1));
  PuppetApp app(0, 1);
  Attach(app);
  Send(app, 0, 7);
  app[0].Start();
  app[0].Take(4);
  Pass();
  EXPECT_EQ(View(app).kthreads[0].rx_sent, 7u);
  EXPECT_EQ(View(app).kthreads[0].rx_consumed, 4u);
  EXPECT_EQ(View(app).on_core[0], 0);
  EXPECT_EQ(View(app).kthreads[0].core, 0);
}

TEST_F(KthreadsTest, ImpossibleConsumptionIsNotBelieved) {
  Make(MachineOptions(1));
  PuppetApp app(0, 1);
  app.rx_slots = 16;
  Attach(app);
  Send(app, 0, 8);
  app[0].Start();
  app[0].Take(5);
  Pass();
  for (const uint32_t lie : {9u, 4u, 0x80000000u, 0xffffffffu}) {
    app[0].signal.rx_consumed.store(lie);
    Pass();
    EXPECT_EQ(View(app).kthreads[0].rx_consumed, 5u) << lie;
  }
  EXPECT_EQ(allocator->counters().lies, 4u);
  EXPECT_EQ(allocator->app_counters(0).lies, 4u);
  // The ring has gone round: what was there at first has been taken, whatever the line says.
  Send(app, 0, 30);
  Pass();
  EXPECT_EQ(View(app).kthreads[0].rx_consumed, 22u);
}

}  // namespace
}  // namespace sluice
