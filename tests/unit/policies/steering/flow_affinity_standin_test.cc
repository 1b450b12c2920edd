// flow-affinity: who serves a home while it is away, and when its packets return.
#include "tests/unit/policies/steering/flow_affinity_fixture.h"

namespace sluice {
namespace {

using testing::FakeApp;
using testing::FlowAffinityTest;
using testing::Steer;

TEST_F(FlowAffinityTest, AwayHomesGoToOneStandInEachAndAreWanted) {
  FlowAffinity policy = Make(4);
  FakeApp app(4, 8);
  for (KthreadId k = 0; k < 4; k++) Run(policy, app, k, static_cast<CoreId>(k + 2));
  const auto flows = Flows(400);
  Hints hints;
  (void)Steer(policy, app, flows, hints);
  EXPECT_TRUE(hints.wanted.none());
  app.ConsumeAll();
  Park(policy, app, 2);
  Park(policy, app, 3);
  std::vector<uint32_t> only_home_2;
  for (const uint32_t flow : flows) {
    if (policy.HomeOf(flow) == 2) only_home_2.push_back(flow);
  }
  const auto to = Steer(policy, app, only_home_2, hints);
  EXPECT_EQ(std::set<KthreadId>(to.begin(), to.end()).size(), 1u);
  EXPECT_EQ(policy.counters().standin, only_home_2.size());
  EXPECT_TRUE(hints.wanted.test(4));
  EXPECT_EQ(hints.wanted.count(), 1u) << "home 3 is away too, but had no packet";
  (void)Steer(policy, app, flows, hints);
  EXPECT_EQ(hints.wanted.count(), 2u);
  app.ConsumeAll();
  Run(policy, app, 2, 4);
  (void)Steer(policy, app, only_home_2, hints);
  EXPECT_TRUE(hints.wanted.none()) << "it is back, and the other had no packet since";
}

TEST_F(FlowAffinityTest, StandInsShareTheLoad) {
  FlowAffinity policy = Make(16, 16'000);
  FakeApp app(16, 16);
  for (KthreadId k = 0; k < 2; k++) Run(policy, app, k, k);
  const auto flows = Flows(16'000);
  const auto share = [&] {
    std::vector<size_t> count(16, 0);
    for (const KthreadId k : Steer(policy, app, flows)) count[k]++;
    app.ConsumeAll();
    return count;
  };
  (void)share();  // brings the flows in
  auto count = share();
  EXPECT_NEAR(static_cast<double>(count[0]), 8000, 1000);
  EXPECT_NEAR(static_cast<double>(count[1]), 8000, 1000);
  Run(policy, app, 2, 2);
  (void)share();
  count = share();
  for (KthreadId k = 0; k < 3; k++) EXPECT_NEAR(static_cast<double>(count[k]), 16'000.0 / 3, 1000) << k;
}

TEST_F(FlowAffinityTest, AStandInStaysWhileOthersComeAndGo) {
  FlowAffinity policy = Make(4);
  FakeApp app(4, 4);
  for (KthreadId k = 0; k < 4; k++) Run(policy, app, k, k);
  const auto flows = Flows(400);
  (void)Steer(policy, app, flows);
  app.ConsumeAll();
  Park(policy, app, 3);
  std::vector<uint32_t> away;
  for (const uint32_t flow : flows) {
    if (policy.HomeOf(flow) == 3) away.push_back(flow);
  }
  const auto to = Steer(policy, app, flows);
  const KthreadId standin = Steer(policy, app, away)[0];
  app.ConsumeAll();
  const auto other = static_cast<KthreadId>((standin + 1) % 3);
  for (int i = 0; i < 10; i++) {
    Park(policy, app, other);
    EXPECT_EQ(Steer(policy, app, away), std::vector<KthreadId>(100, standin));
    app.ConsumeAll();
    Run(policy, app, other, other);
    EXPECT_EQ(Steer(policy, app, away), std::vector<KthreadId>(100, standin));
    app.ConsumeAll();
  }
  EXPECT_EQ(Steer(policy, app, flows), to);
}

TEST_F(FlowAffinityTest, ReturnsHomeOnlyAfterTheStandInHasDrained) {
  FlowAffinity policy = Make(2);
  FakeApp app(2, 2);
  Run(policy, app, 0, 0);
  Run(policy, app, 1, 1);
  const auto flow = Flows(1, 77);
  const std::vector<KthreadId> home = Steer(policy, app, flow);
  const KthreadId owner = home[0];
  const KthreadId other = static_cast<KthreadId>(1 - owner);
  const CoreId core = app.kthread(owner).core;
  // Counters near their wrap.
  for (const KthreadId k : {owner, other}) app.kthread(k).rx_sent = app.kthread(k).rx_consumed = 0xfffffffe;
  Park(policy, app, owner);
  for (int i = 0; i < 4; i++) EXPECT_EQ(Steer(policy, app, flow)[0], other);
  Run(policy, app, owner, core);
  EXPECT_EQ(Steer(policy, app, flow)[0], other) << "four packets are in its ring";
  app.kthread(other).rx_consumed += 4;
  EXPECT_EQ(Steer(policy, app, flow)[0], other) << "the fifth is in its ring";
  app.kthread(other).rx_consumed += 2;
  EXPECT_EQ(app.kthread(other).rx_consumed, app.kthread(other).rx_sent);
  EXPECT_EQ(Steer(policy, app, flow)[0], owner);
  EXPECT_EQ(policy.counters().standin, 6u);
  app.kthread(other).rx_sent += 10;  // others' packets: no matter
  EXPECT_EQ(Steer(policy, app, flow)[0], owner);
}

// The stand-in's ring may never be empty; it is enough that it is past this home's last packet.
TEST_F(FlowAffinityTest, ReturnsHomeThoughTheStandInStaysBusyWithOthers) {
  FlowAffinity policy = Make(2);
  FakeApp app(2, 2);
  Run(policy, app, 0, 0);
  Run(policy, app, 1, 1);
  const auto flow = Flows(1, 77);
  const KthreadId owner = Steer(policy, app, flow)[0];
  const KthreadId other = static_cast<KthreadId>(1 - owner);
  const CoreId core = app.kthread(owner).core;
  app.ConsumeAll();
  Park(policy, app, owner);
  EXPECT_EQ(Steer(policy, app, flow)[0], other);
  Run(policy, app, owner, core);
  EXPECT_EQ(Steer(policy, app, flow)[0], other);  // now it is known to be moving
  (void)Steer(policy, app, {});
  app.kthread(other).rx_sent += 100;    // others' packets behind it
  app.kthread(other).rx_consumed += 2;  // exactly ours
  EXPECT_EQ(Steer(policy, app, flow)[0], owner);
}

TEST_F(FlowAffinityTest, IfTheStandInLeavesTheHomeIsUsedAtOnce) {
  FlowAffinity policy = Make(2);
  FakeApp app(2, 2);
  Run(policy, app, 0, 0);
  Run(policy, app, 1, 1);
  const auto flow = Flows(1, 77);
  const KthreadId owner = Steer(policy, app, flow)[0];
  const CoreId core = app.kthread(owner).core;
  Park(policy, app, owner);
  (void)Steer(policy, app, flow);
  Run(policy, app, owner, core);
  Park(policy, app, static_cast<KthreadId>(1 - owner));
  EXPECT_EQ(Steer(policy, app, flow)[0], owner);
}

TEST_F(FlowAffinityTest, NobodyActiveMeansLanding) {
  FlowAffinity policy = Make(4);
  FakeApp app(4, 4);
  app.set_landing(3);
  const auto flows = Flows(100);
  EXPECT_EQ(Steer(policy, app, flows), std::vector<KthreadId>(100, 3));
  EXPECT_EQ(Steer(policy, app, flows), std::vector<KthreadId>(100, 3));
  Run(policy, app, 3, 1);
  EXPECT_EQ(Steer(policy, app, flows), std::vector<KthreadId>(100, 3));
  app.ConsumeAll();
  Park(policy, app, 3);
  app.set_landing(0);
  policy.OnActiveChange(app.view());
  EXPECT_EQ(Steer(policy, app, flows), std::vector<KthreadId>(100, 0));
}

}  // namespace
}  // namespace sluice
