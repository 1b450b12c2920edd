// Taking cores back: the word, the signal, eviction, and apps that leave in the middle of it.
#include "tests/unit/brain/allocator_fixture.h"

namespace sluice {
namespace {

using test::MachineOptions;
using test::PuppetApp;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

class CedeTest : public test::ContendedTest {
 protected:
  void PassUntil(Ticks end) {
    while (now + 5000 <= end) Pass();
  }
};

TEST_F(CedeTest, TheWordComesFirstAndThePromiseWithIt) {
  MakeContended(MachineOptions(1));
  EXPECT_TRUE(hog[0].CedeRequested());
  EXPECT_THAT(Active(hog), IsEmpty());
  EXPECT_THAT(backend.interrupts, IsEmpty());
  EXPECT_EQ(allocator->cores()[0].promised, 1);
  EXPECT_TRUE(allocator->cores()[0].ceding);
  EXPECT_EQ(allocator->share(0).held, 0);
  EXPECT_EQ(allocator->share(1).pending, 1);
  hog[0].Park();
  Pass();
  EXPECT_THAT(backend.wakes.back(), Pair(1, 0));
  EXPECT_EQ(allocator->share(1).held, 1);
  EXPECT_EQ(allocator->share(1).pending, 0);
  EXPECT_EQ(allocator->counters().ceded, 1u);
  EXPECT_EQ(allocator->counters().cede_ticks_max, 5000u);
}

TEST_F(CedeTest, SignalAfterTheGraceThenAgainThenEviction) {
  MakeContended(MachineOptions(1));
  const Ticks asked = now;
  PassUntil(asked + 15'000);
  EXPECT_THAT(backend.interrupts, IsEmpty());
  PassUntil(asked + 20'000);
  EXPECT_THAT(backend.interrupts, ElementsAre(Pair(0, 0)));
  PassUntil(asked + 65'000);
  EXPECT_EQ(backend.interrupts.size(), 1u);
  PassUntil(asked + 70'000);
  EXPECT_EQ(backend.interrupts.size(), 2u);
  PassUntil(asked + 995'000);
  EXPECT_EQ(backend.interrupts.size(), 20u);
  EXPECT_THAT(backend.evicts, IsEmpty());
  PassUntil(asked + 1'000'000);
  EXPECT_THAT(backend.evicts, ElementsAre(Pair(0, 0)));
  EXPECT_THAT(host.unresponsive, ElementsAre(Pair(0, 0)));
  EXPECT_THAT(backend.wakes.back(), Pair(1, 0)) << "the core goes to whom it was promised";
  EXPECT_EQ(allocator->cores()[0].owner, 1);
  // It is never granted again, though it parks at last.
  hog[0].Park();
  Send(hog, 0);
  Send(hog, 1);
  ASSERT_TRUE(owed[0].Start());
  owed[0].Take(1);
  Pass();
  owed[0].Park();
  Pass();
  EXPECT_THAT(backend.wakes.back(), Pair(0, 1));
}

TEST_F(CedeTest, OnSharedCpusNothingIsBeyondTheSignal) {
  AllocatorOptions options = MachineOptions(1);
  options.shared_cpus = true;
  MakeContended(options);
  PassUntil(now + 5'000'000);
  EXPECT_GT(backend.interrupts.size(), 50u);
  EXPECT_THAT(backend.evicts, IsEmpty());
  EXPECT_THAT(host.unresponsive, IsEmpty());
  hog[0].Park(abi::kParkPreempted);
  Pass();
  EXPECT_EQ(allocator->cores()[0].owner, 1);
}

TEST_F(CedeTest, AnIdleCoreReplacesASlowPromise) {
  Make(MachineOptions(2));
  PuppetApp other(2, 1);
  Attach(hog);
  Attach(other);
  WakeByPacket(hog);
  WakeByPacket(other);
  hog[0].Take(1);
  Attach(owed);
  Send(owed, 0);
  const bool hog_asked = hog[0].CedeRequested();
  ASSERT_NE(hog_asked, other[0].CedeRequested());
  PuppetApp& quick = hog_asked ? other : hog;
  if (&quick == &other) quick[0].Take(1);
  quick[0].Park();
  Pass();
  EXPECT_TRUE(owed[0].Granted());
  EXPECT_EQ(allocator->share(1).pending, 0);
  EXPECT_EQ(allocator->share(1).held, 1);
}

TEST_F(CedeTest, ACoreThatNobodyNeedsAnyMoreGoesBack) {
  MakeContended(MachineOptions(1));
  allocator->Detach(1);
  Pass();
  EXPECT_EQ(allocator->cores()[0].promised, kNoApp);
  hog[0].Park(abi::kParkPreempted);
  Pass();
  EXPECT_THAT(backend.wakes.back(), Pair(0, 0));
}

TEST_F(CedeTest, AnEvictedAppIsDetachedLater) {
  MakeContended(MachineOptions(1));
  PassUntil(now + 1'005'000);
  ASSERT_THAT(host.unresponsive, ElementsAre(Pair(0, 0)));
  allocator->Detach(0);
  Pass();
  EXPECT_EQ(allocator->cores()[0].owner, 1);
  EXPECT_EQ(backend.evicts.size(), 1u);
}

class DetachTest : public test::AllocatorTest {};

TEST_F(DetachTest, WhileParked) {
  Make(MachineOptions(1));
  PuppetApp app(0, 2, 1);
  Attach(app);
  allocator->Detach(0);
  Pass();
  EXPECT_THAT(backend.evicts, IsEmpty());
  EXPECT_EQ(allocator->CheckAdmission(1, 1), "");
}

TEST_F(DetachTest, WithWorkWaiting) {
  Make(MachineOptions(1));
  PuppetApp holder(0, 1), app(1, 2);
  Attach(holder);
  WakeByPacket(holder);
  Attach(app);
  Send(app, 1);
  app.Kick();
  Pass();
  allocator->Detach(1);
  holder[0].Take(1);
  holder[0].Park();
  Pass();
  EXPECT_EQ(allocator->cores()[0].owner, kNoApp);
}

TEST_F(DetachTest, WhileGrantedRunningAndCeding) {
  Make(MachineOptions(3));
  PuppetApp app(0, 3);
  Attach(app);
  Spread(app, 3);
  PuppetApp owed(1, 1, 1);
  Attach(owed);
  Send(owed, 0);
  ASSERT_EQ(allocator->share(1).pending, 1);
  allocator->Detach(0);
  EXPECT_EQ(backend.evicts.size(), 3u) << "a thread that lives on may not keep its core";
  for (KthreadId k = 0; k < 3; k++) EXPECT_TRUE(app[k].CedeRequested());
  Pass();
  EXPECT_TRUE(owed[0].Granted());
  EXPECT_EQ(allocator->share(1).pending, 0);
  uint16_t owned = 0;
  for (const CoreView& core : allocator->cores()) owned += core.owner != kNoApp;
  EXPECT_EQ(owned, 1);
}

TEST_F(DetachTest, TheNextAppWithTheSameIdStartsFromNothing) {
  Make(MachineOptions(2));
  {
    PuppetApp app(0, 2);
    Attach(app);
    Send(app, 0, 100);
    app[0].Start();
    Pass();
    allocator->Detach(0);
  }
  PuppetApp again(0, 3);
  Attach(again);
  Pass();
  EXPECT_EQ(allocator->share(0).held, 0);
  EXPECT_EQ(View(again).kthreads.size(), 3u);
  EXPECT_EQ(View(again).kthreads[0].rx_sent, 0u);
  EXPECT_THAT(Active(again), IsEmpty());
  EXPECT_EQ(WakeByPacket(again), 0);
}

TEST_F(DetachTest, OnSharedCpusItIsOnlyAsked) {
  AllocatorOptions options = MachineOptions(1);
  options.shared_cpus = true;
  Make(options);
  PuppetApp app(0, 1);
  Attach(app);
  WakeByPacket(app);
  allocator->Detach(0);
  EXPECT_THAT(backend.evicts, IsEmpty());
  EXPECT_THAT(backend.interrupts, ElementsAre(Pair(0, 0)));
}

}  // namespace
}  // namespace sluice
