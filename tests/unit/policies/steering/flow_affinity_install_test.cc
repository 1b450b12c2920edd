// flow-affinity: flows installed, removed and listed from outside.
#include <array>
#include <set>

#include "tests/unit/policies/steering/flow_affinity_fixture.h"

namespace sluice {
namespace {

using testing::FakeApp;
using testing::FlowAffinityTest;
using testing::Steer;

TEST_F(FlowAffinityTest, InstalledFlowsHaveTheirHomeBeforeTheFirstPacket) {
  FlowAffinity policy = Make(4, 64);
  const FiveTuple tuple{
      .source = 0x0a000001, .destination = 0x0a000002, .source_port = 7, .destination_port = 8, .protocol = 17};
  EXPECT_EQ(policy.Install(500, tuple, 3), 3);
  EXPECT_EQ(policy.Install(501, tuple), 0) << "the home with the fewest flows";
  FakeApp app(4, 4);
  for (KthreadId k = 0; k < 4; k++) Run(policy, app, k, k);
  EXPECT_EQ(Steer(policy, app, Flows(2, 500)), (std::vector<KthreadId>{3, 0}));
  EXPECT_EQ(policy.counters().misses, 0u);
  EXPECT_EQ(policy.Install(500, tuple), 3) << "installed again: the home stays";
  EXPECT_EQ(policy.Install(500, tuple, 1), 1) << "unless it is told to move";
  EXPECT_EQ(policy.HomeFlows(1), 1u);
  EXPECT_EQ(policy.HomeFlows(3), 0u);
}

TEST_F(FlowAffinityTest, InstallingALearnedFlowKeepsItsHome) {
  FlowAffinity policy = Make(4, 64);
  FakeApp app(4, 4);
  for (KthreadId k = 0; k < 4; k++) Run(policy, app, k, k);
  const auto to = Steer(policy, app, Flows(4));
  EXPECT_EQ(policy.Install(2, {.source = 1}), to[2]);
  EXPECT_EQ(policy.flows(), 4u);
}

TEST_F(FlowAffinityTest, InstallSaysWhyNot) {
  FlowAffinity policy = Make(2, 8);
  EXPECT_EQ(policy.Install(1, {.source = 1}, 2), tl::unexpected(FlowError::kNoSuchHome));
  for (uint32_t flow = 0; flow < 8; flow++) EXPECT_TRUE(policy.Install(flow, {.source = flow}).has_value());
  EXPECT_EQ(policy.Install(8, {.source = 8}), tl::unexpected(FlowError::kFull));
  EXPECT_EQ(policy.Install(3, {.source = 99}), tl::unexpected(FlowError::kHashTaken));
  EXPECT_FALSE(policy.Remove(3, {.source = 99}));
  EXPECT_TRUE(policy.Remove(3, {.source = 3}));
  EXPECT_FALSE(policy.Remove(3, {.source = 3}));
  EXPECT_EQ(policy.HomeOf(3), kAnyHome);
  EXPECT_TRUE(policy.Install(8, {.source = 8}).has_value());
}

TEST_F(FlowAffinityTest, InstalledFlowsAreNeverForgotten) {
  FlowAffinity policy = Make(2, 64);
  FakeApp app(2, 2);
  for (KthreadId k = 0; k < 2; k++) Run(policy, app, k, k);
  for (uint32_t flow = 0; flow < 20; flow++) ASSERT_TRUE(policy.Install(flow, {.source = flow}).has_value());
  for (uint32_t burst = 0; burst < 200; burst++) {
    (void)Steer(policy, app, Flows(40, 1000 + burst * 100));
    app.ConsumeAll();
    policy.Idle(100, 0);
  }
  EXPECT_GT(policy.counters().evictions, 100u);
  for (uint32_t flow = 0; flow < 20; flow++) EXPECT_NE(policy.HomeOf(flow), kAnyHome);
}

TEST_F(FlowAffinityTest, ListsInstalledFlowsInPieces) {
  FlowAffinity policy = Make(3, 64);
  FakeApp app(3, 3);
  for (KthreadId k = 0; k < 3; k++) Run(policy, app, k, k);
  (void)Steer(policy, app, Flows(10, 100));  // learned: not listed
  for (uint32_t flow = 0; flow < 25; flow++) {
    ASSERT_TRUE(policy.Install(flow, {.source = flow * 3}, static_cast<uint16_t>(flow % 3)).has_value());
  }
  std::set<uint32_t> seen;
  uint32_t cursor = 0xffffffff;
  std::array<InstalledFlow, 10> some;
  for (size_t count = some.size(); count == some.size();) {
    count = policy.List(&cursor, some);
    for (size_t i = 0; i < count; i++) {
      EXPECT_TRUE(seen.insert(some[i].hash).second);
      EXPECT_EQ(some[i].tuple.source, some[i].hash * 3);
      EXPECT_EQ(some[i].home, some[i].hash % 3);
    }
  }
  EXPECT_EQ(seen.size(), 25u);
  EXPECT_EQ(*seen.rbegin(), 24u);
}

}  // namespace
}  // namespace sluice
