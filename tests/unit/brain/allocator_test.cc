// The allocator step by step: who gets a core, and when.
#include "tests/unit/brain/allocator_fixture.h"

namespace sluice {
namespace {

using test::AllocatorTest;
using test::MachineOptions;
using test::PuppetApp;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

TEST_F(AllocatorTest, APacketForASleepingAppWakesItAtOnce) {
  Make(MachineOptions(2));
  PuppetApp app(3, 2);
  Attach(app);
  EXPECT_EQ(View(app).landing, 0);
  Send(app, 0);
  EXPECT_THAT(backend.wakes, ElementsAre(Pair(3, 0)));
  // Nobody else runs, so it is steerable from the grant.
  EXPECT_THAT(Active(app), ElementsAre(0));
  EXPECT_THAT(host.changed, ElementsAre(3));
  EXPECT_TRUE(app[0].Start());
  EXPECT_EQ(app[0].core(), backend.wake_cores[0]);
  EXPECT_EQ(allocator->share(3).held, 1);
  EXPECT_EQ(allocator->grants(3, 0), 1u);
  // One grant is enough, however many packets follow.
  Send(app, 0, 10);
  Pass();
  EXPECT_EQ(backend.wakes.size(), 1u);
}

TEST_F(AllocatorTest, APacketBeforeTheFirstPassAndWithoutACoreWaitsForOne) {
  Make(MachineOptions(1));
  PuppetApp first(0, 1), second(1, 1);
  Attach(first);
  Attach(second);
  Send(first, 0);
  Send(second, 0);
  EXPECT_THAT(backend.wakes, ElementsAre(Pair(0, 0)));
  first[0].Start();
  first[0].Take(1);
  Pass();
  EXPECT_EQ(backend.wakes.size(), 1u);
  first[0].Park();
  Pass();
  EXPECT_THAT(backend.wakes, ElementsAre(Pair(0, 0), Pair(1, 0)));
}

TEST_F(AllocatorTest, ADueTimerWakesItsKthread) {
  Make(MachineOptions(2));
  PuppetApp app(0, 3);
  Attach(app);
  NapUntil(app, now + 50'000);
  for (int i = 0; i < 9; i++) Pass();
  EXPECT_EQ(backend.wakes.size(), 1u);
  Pass();
  Pass();
  EXPECT_THAT(backend.wakes, ElementsAre(Pair(0, 0), Pair(0, 0)));
}

TEST_F(AllocatorTest, ATimerOfAParkedKthreadWakesItIfNobodyStealsIt) {
  Make(MachineOptions(2));
  PuppetApp app(0, 2);
  Attach(app);
  Spread(app, 2);
  const KthreadId parked = Active(app)[1];
  app[parked].next_timer = now + 7000;
  app[parked].Park();
  Pass();
  Pass();
  EXPECT_FALSE(app[parked].Granted()) << "the other one runs and may take it";
  Pass();
  EXPECT_TRUE(app[parked].Granted());
}

TEST_F(AllocatorTest, AStolenTimerWakesNobody) {
  Make(MachineOptions(2));
  PuppetApp app(0, 2);
  Attach(app);
  Spread(app, 2);
  const KthreadId parked = Active(app)[1];
  app[parked].next_timer = now + 7000;
  app[parked].Park();
  Pass();
  Pass();
  app[parked].signal.next_timer.store(now + 42'000);
  for (int i = 0; i < 8; i++) Pass();
  EXPECT_FALSE(app[parked].Granted());
  for (int i = 0; i < 3; i++) Pass();
  EXPECT_TRUE(app[parked].Granted());
}

TEST_F(AllocatorTest, AKickWakesASleepingAppAndOnlyThat) {
  Make(MachineOptions(2));
  PuppetApp app(0, 2);
  Attach(app);
  Pass();
  EXPECT_THAT(backend.wakes, IsEmpty());
  app.Kick();
  Pass();
  ASSERT_EQ(backend.wakes.size(), 1u);
  const KthreadId k = backend.wakes[0].second;
  ASSERT_TRUE(app[k].Start());
  app.Kick();
  Pass();
  EXPECT_EQ(backend.wakes.size(), 1u) << "who is awake sees the inbox";
  app[k].Park();  // without having looked
  Pass();
  EXPECT_EQ(backend.wakes.size(), 2u);
  const KthreadId next = backend.wakes[1].second;
  ASSERT_TRUE(app[next].Start());
  app.EmptyInbox(next);
  app[next].Park();
  Pass();
  Pass();
  EXPECT_EQ(backend.wakes.size(), 2u);
}

TEST_F(AllocatorTest, AnOlderLookIntoTheInboxDoesNotUndoANewerOne) {
  Make(MachineOptions(2));
  PuppetApp app(0, 2);
  Attach(app);
  WakeByPacket(app);
  app[0].Spawn(2, now);
  Pass();
  Pass();
  ASSERT_TRUE(app[1].Start());
  Pass();
  app[1].Take(0);
  app.Kick();
  app.EmptyInbox(0);  // 0 has seen the kick, 1 has not
  app[0].Take(1);
  app[0].RunUthreads(2);
  app[0].Park();
  app[1].Park();
  const size_t before = backend.wakes.size();
  Pass();
  Pass();
  EXPECT_EQ(backend.wakes.size(), before);
}

TEST_F(AllocatorTest, APacketThatCrossedTheParkIsNotLost) {
  Make(MachineOptions(1));
  PuppetApp app(0, 1);
  Attach(app);
  WakeByPacket(app);
  app[0].Take(1);
  app[0].Park();
  Send(app, 0);  // the park has not been seen yet
  EXPECT_EQ(backend.wakes.size(), 1u);
  Pass();
  EXPECT_THAT(backend.wakes, ElementsAre(Pair(0, 0), Pair(0, 0)));
  EXPECT_THAT(host.parked, ElementsAre(Pair(0, 0)));
}

// regression guard: what the drain of its own rings sends to the parking kthread must count
TEST_F(AllocatorTest, APacketSwitchedLocallyDuringTheDrainIsNotLost) {
  Make(MachineOptions(1));
  PuppetApp app(0, 1);
  Attach(app);
  WakeByPacket(app);
  app[0].Take(1);
  app[0].Park();
  host.on_parked = [&](AppId id, KthreadId) {
    host.on_parked = nullptr;
    EXPECT_THAT(Active(app), IsEmpty()) << "unsteerable before its rings are drained";
    allocator->OnSent(id, View(app).landing, 1, now);
  };
  Pass();
  EXPECT_EQ(backend.wakes.size(), 2u);
}

TEST_F(AllocatorTest, UthreadsLeftBehindByACedeAreWork) {
  Make(MachineOptions(2));
  PuppetApp app(0, 1);
  Attach(app);
  WakeByPacket(app);
  app[0].Take(1);
  app[0].Spawn(3, now);
  app[0].Park();
  Pass();
  EXPECT_EQ(backend.wakes.size(), 2u);
}

TEST_F(AllocatorTest, StolenWorkWakesNobody) {
  Make(MachineOptions(2));
  PuppetApp app(0, 2), other(1, 1);
  Attach(app);
  Attach(other);
  WakeByPacket(app);
  WakeByPacket(other);  // no core is idle now
  Send(app, 1, 5);      // steered before it was known to sleep
  Pass();
  EXPECT_FALSE(app[1].Granted());
  app[1].Take(5);  // by 0
  other[0].Take(1);
  other[0].Park();
  app[0].Take(1);
  Pass();
  Pass();
  EXPECT_FALSE(app[1].Granted());
}

TEST_F(AllocatorTest, CongestionAddsOneCoreAndCountsFromTheGrant) {
  Make(MachineOptions(8));
  PuppetApp app(0, 8);
  Attach(app);
  WakeByPacket(app);
  app[0].Spawn(100, now);
  Pass();
  for (int i = 0; i < 5; i++) Pass();
  EXPECT_EQ(backend.wakes.size(), 2u) << "the second one has not run yet";
  app.StartAll();
  Pass();
  EXPECT_EQ(backend.wakes.size(), 3u);
  app.StartAll();
  Pass();
  EXPECT_EQ(backend.wakes.size(), 4u);
}

TEST_F(AllocatorTest, AnAppHoldsNoMoreCoresThanItHasKthreads) {
  Make(MachineOptions(8));
  PuppetApp app(0, 2);
  Attach(app);
  WakeByPacket(app);
  app[0].Spawn(100, now);
  for (int i = 0; i < 10; i++) {
    Pass();
    app.StartAll();
  }
  EXPECT_EQ(allocator->share(0).held, 2);
  EXPECT_EQ(backend.wakes.size(), 2u);
}

TEST_F(AllocatorTest, OneGrantPerCore) {
  Make(MachineOptions(2));
  std::vector<std::unique_ptr<PuppetApp>> apps;
  for (AppId id = 0; id < 5; id++) {
    apps.push_back(std::make_unique<PuppetApp>(id, 2));
    Attach(*apps.back());
  }
  for (auto& app : apps) Send(*app, 0);
  for (int i = 0; i < 5; i++) Pass();
  EXPECT_EQ(backend.wakes.size(), 2u);
  EXPECT_NE(backend.wake_cores[0], backend.wake_cores[1]);
}

TEST_F(AllocatorTest, WhatOnePassMayNotGrantTheNextOneDoes) {
  AllocatorOptions options = MachineOptions(8);
  options.grants_per_pass = 2;
  Make(options);
  std::vector<std::unique_ptr<PuppetApp>> apps;
  for (AppId id = 0; id < 6; id++) {
    apps.push_back(std::make_unique<PuppetApp>(id, 1));
    Attach(*apps.back());
  }
  for (auto& app : apps) Send(*app, 0);
  EXPECT_EQ(backend.wakes.size(), 2u);
  Pass();
  EXPECT_EQ(backend.wakes.size(), 4u);
  Pass();
  EXPECT_EQ(backend.wakes.size(), 6u);
  EXPECT_GT(allocator->counters().deferred, 0u);
}

TEST_F(AllocatorTest, ManySleepingAppsAreAllLookedAt) {
  Make(MachineOptions(4));
  std::vector<std::unique_ptr<PuppetApp>> apps;
  for (AppId id = 0; id < 200; id++) {
    apps.push_back(std::make_unique<PuppetApp>(id, 1));
    Attach(*apps.back());
  }
  apps[150]->Kick();
  for (int i = 0; i < 200 / 16 + 1; i++) Pass();  // a bounded number in each pass
  EXPECT_THAT(backend.wakes, ElementsAre(Pair(150, 0)));
}

TEST_F(AllocatorTest, APreparedAppIsHandedOverAndBack) {
  Make(MachineOptions(1));
  PuppetApp app(5, 1, 1);
  BrainAppPtr prepared = allocator->Prepare(app.spec, app.Memory());
  allocator->Attach(std::move(prepared));
  EXPECT_TRUE(allocator->share(5).attached);
  BrainAppPtr back = allocator->Detach(5);
  EXPECT_NE(back, nullptr);
  EXPECT_FALSE(allocator->share(5).attached);
  Attach(app);
}

}  // namespace
}  // namespace sluice
