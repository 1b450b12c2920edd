// flow-affinity: which flows move, where homes are, and the faults of Calisto's published listing as regressions.
#include "policies/steering/rss.h"
#include "tests/unit/policies/steering/flow_affinity_fixture.h"

namespace sluice {
namespace {

using testing::FakeApp;
using testing::FlowAffinityTest;
using testing::Steer;

size_t Differences(const std::vector<KthreadId>& a, const std::vector<KthreadId>& b) {
  size_t count = 0;
  for (size_t i = 0; i < a.size(); i++) count += a[i] != b[i] ? 1 : 0;
  return count;
}

// The headline: 700 000 flows while the active kthreads go 4 -> 5 -> 4.
TEST_F(FlowAffinityTest, FourFiveFourMovesNoFlowWhoseHomeStays) {
  constexpr uint32_t kFlows = 700'000;
  FlowAffinity policy = Make(5, kFlows);
  Rss rss({.max_kthreads = 5, .cores = 5});
  FakeApp app(5, 5);
  std::vector<uint32_t> flows(kFlows);
  for (uint32_t i = 0; i < kFlows; i++) flows[i] = testing::FlowHash(i);

  for (KthreadId k = 0; k < 4; k++) Run(policy, app, k, k);
  (void)Steer(policy, app, flows);
  app.ConsumeAll();
  const auto four = Steer(policy, app, flows);
  const auto rss_four = Steer(rss, app, flows);
  app.ConsumeAll();
  Run(policy, app, 4, 4);
  const auto five = Steer(policy, app, flows);
  const auto rss_five = Steer(rss, app, flows);
  app.ConsumeAll();
  Park(policy, app, 4);
  const auto again = Steer(policy, app, flows);
  const auto rss_again = Steer(rss, app, flows);

  EXPECT_EQ(policy.counters().full, 0u);
  EXPECT_EQ(policy.flows(), kFlows);
  size_t home_stayed_but_moved = 0, came_home = 0;
  for (uint32_t i = 0; i < kFlows; i++) {
    const uint16_t home = policy.HomeOf(flows[i]);
    if (home == 4) {
      came_home += five[i] == 4 ? 1 : 0;
    } else {
      home_stayed_but_moved += four[i] != five[i] || five[i] != again[i] || four[i] != home ? 1 : 0;
    }
  }
  EXPECT_EQ(home_stayed_but_moved, 0u);
  EXPECT_EQ(came_home, kFlows / 5);
  EXPECT_EQ(Differences(four, five), kFlows / 5) << "only those whose home came";
  EXPECT_EQ(Differences(five, again), kFlows / 5) << "only those whose home left";
  EXPECT_NEAR(static_cast<double>(Differences(rss_four, rss_five)) / kFlows, 0.8, 0.01);
  EXPECT_NEAR(static_cast<double>(Differences(rss_five, rss_again)) / kFlows, 0.8, 0.01);
}

// ---- Calisto's listing

// "assigned_core = retl": the lookup returns the position of the key, not its core.
TEST_F(FlowAffinityTest, CalistoThePositionOfAFlowIsNotItsCore) {
  FlowAffinity policy = Make(4, 5000);
  FakeApp app(4, 4);
  for (KthreadId k = 0; k < 4; k++) Run(policy, app, k, k);
  const auto flows = Flows(5000);  // positions go far beyond the kthreads
  const auto first = Steer(policy, app, flows);
  EXPECT_EQ(Steer(policy, app, flows), first);
  for (size_t i = 0; i < flows.size(); i++) ASSERT_EQ(first[i], policy.HomeOf(flows[i]));
}

// The assigned core may belong to another process by now.
TEST_F(FlowAffinityTest, CalistoACoreThatAnotherAppHasIsNotUsed) {
  FlowAffinity policy = Make(3);
  FakeApp app(3, 3);
  for (KthreadId k = 0; k < 3; k++) Run(policy, app, k, k);
  const auto flows = Flows(300);
  (void)Steer(policy, app, flows);
  Park(policy, app, 1);
  for (const KthreadId k : Steer(policy, app, flows)) ASSERT_TRUE(k == 0 || k == 2);
}

// "if (affinity_core == NCPU) affinity_core = 1": core 0 gets flows in the first round only.
TEST_F(FlowAffinityTest, CalistoHomeZeroGetsItsShare) {
  FlowAffinity policy = Make(4, 4000);
  FakeApp app(4, 4);
  for (KthreadId k = 0; k < 4; k++) Run(policy, app, k, k);
  (void)Steer(policy, app, Flows(4000));
  for (uint16_t home = 0; home < 4; home++) EXPECT_EQ(policy.HomeFlows(home), 1000u);
}

// Nothing is ever removed, so the table fills up for good.
TEST_F(FlowAffinityTest, CalistoTheTableDoesNotFillUpForGood) {
  FlowAffinity policy = Make(2, 100);
  FakeApp app(2, 2);
  for (KthreadId k = 0; k < 2; k++) Run(policy, app, k, k);
  for (uint32_t generation = 0; generation < 50; generation++) {
    const auto flows = Flows(50, generation * 1000);
    for (int burst = 0; burst < 8; burst++) {
      (void)Steer(policy, app, flows);
      app.ConsumeAll();
      policy.Idle(64, 0);
    }
    for (const uint32_t flow : flows) ASSERT_NE(policy.HomeOf(flow), kAnyHome);
  }
  EXPECT_GE(policy.counters().evictions, 48u * 50);
}

// ---- homes

TEST_F(FlowAffinityTest, AHomeIsBoundToTheFirstCoreGrantedForIt) {
  FlowAffinity policy = Make(3);
  FakeApp app(3, 8);
  EXPECT_EQ(policy.HomeCore(0), kNoCore);
  Run(policy, app, 2, 5);
  Run(policy, app, 0, 7);
  EXPECT_EQ(policy.HomeCore(0), 5);
  EXPECT_EQ(policy.HomeCore(1), 7);
  EXPECT_EQ(policy.HomeCore(2), kNoCore);
}

TEST_F(FlowAffinityTest, FlowsFollowTheCoreNotTheKthread) {
  FlowAffinity policy = Make(2);
  FakeApp app(2, 2);
  Run(policy, app, 0, 0);
  Run(policy, app, 1, 1);
  const auto flows = Flows(10);
  const auto before = Steer(policy, app, flows);
  app.ConsumeAll();
  Park(policy, app, 0);
  Park(policy, app, 1);
  Run(policy, app, 1, 0);
  Run(policy, app, 0, 1);
  const auto after = Steer(policy, app, flows);
  for (size_t i = 0; i < flows.size(); i++) EXPECT_EQ(after[i], 1 - before[i]);
}

TEST_F(FlowAffinityTest, ACoreLostForGoodMovesAllItsFlowsWithOneWrite) {
  FlowAffinity policy = Make(2);
  FakeApp app(2, 4);
  Run(policy, app, 0, 0);
  Run(policy, app, 1, 1);
  const auto flows = Flows(100);
  const auto before = Steer(policy, app, flows);
  app.ConsumeAll();
  Park(policy, app, 1);
  Run(policy, app, 1, 3);  // another core: core 1 is lost
  EXPECT_EQ(policy.HomeCore(1), 3);
  EXPECT_EQ(Steer(policy, app, flows), before);
  EXPECT_EQ(policy.counters().rebinds, 1u);
}

TEST_F(FlowAffinityTest, TheHomeAwayLongestIsTheOneThatMoves) {
  FlowAffinity policy = Make(3);
  FakeApp app(3, 8);
  for (KthreadId k = 0; k < 3; k++) Run(policy, app, k, k);
  Park(policy, app, 1);
  Park(policy, app, 2);
  Run(policy, app, 2, 6);
  EXPECT_EQ(policy.HomeCore(1), 6);
  EXPECT_EQ(policy.HomeCore(2), 2);
  Run(policy, app, 1, 2);  // back on its core: nothing to move
  EXPECT_EQ(policy.HomeCore(2), 2);
  EXPECT_EQ(policy.counters().rebinds, 1u);
}

// A kthread that was granted the home's core but has not run yet is not in `active`; the core is not lost.
TEST_F(FlowAffinityTest, ACoreThatTheAppStillHasIsNotLost) {
  FlowAffinity policy = Make(2);
  FakeApp app(2, 4);
  Run(policy, app, 0, 0);
  Run(policy, app, 1, 1);
  app.Park(0);
  app.Park(1);
  app.Run(1, 3);
  const std::vector<KthreadId> on_core = {0, kNoKthread, kNoKthread, 1};
  AppView view = app.view();
  view.on_core = on_core;
  policy.OnActiveChange(view);
  EXPECT_EQ(policy.HomeCore(0), 0);
  EXPECT_EQ(policy.HomeCore(1), 3) << "core 1 is lost, core 0 is not";
}

TEST_F(FlowAffinityTest, MoreThan256Homes) {
  FlowAffinity policy = Make(600, 6000);
  FakeApp app(600, 600);
  for (KthreadId k = 0; k < 600; k++) app.Run(k, k);
  policy.OnActiveChange(app.view());
  std::vector<size_t> count(600, 0);
  for (const KthreadId k : Steer(policy, app, Flows(6000))) count[k]++;
  EXPECT_EQ(count, std::vector<size_t>(600, 10));
}

TEST_F(FlowAffinityTest, MovesWithItsTable) {
  FlowAffinity first = Make(2, 64);
  ASSERT_TRUE(first.Install(1, {}, 1).has_value());
  FlowAffinity second = std::move(first);
  EXPECT_EQ(second.HomeOf(1), 1);
  first = Make(2, 64);
  EXPECT_EQ(first.HomeOf(1), kAnyHome);
}

}  // namespace
}  // namespace sluice
