// flow-affinity: the table. Packets of a burst agree, what is full says so, idle flows are forgotten and no others.
#include <nmmintrin.h>

#include <random>

#include "tests/unit/policies/steering/flow_affinity_fixture.h"

namespace sluice {
namespace {

using testing::FakeApp;
using testing::FlowAffinityTest;
using testing::Steer;

TEST_F(FlowAffinityTest, PacketsOfOneNewFlowInABurstAgree) {
  for (const uint32_t capacity : {1000u, 3u}) {
    FlowAffinity policy = Make(4, capacity);
    FakeApp app(4, 4);
    for (KthreadId k = 0; k < 4; k++) Run(policy, app, k, k);
    std::mt19937 random(capacity);
    for (int burst = 0; burst < 200; burst++) {
      std::vector<uint32_t> hash(1 + random() % 100);
      for (uint32_t& h : hash) h = static_cast<uint32_t>(burst * 1000 + static_cast<int>(random() % 8));
      const auto to = Steer(policy, app, hash);
      app.ConsumeAll();
      policy.Idle(8, 0);
      std::vector<int> seen(8, -1);
      for (size_t i = 0; i < hash.size(); i++) {
        int& kthread = seen[hash[i] % 1000];
        if (kthread < 0) kthread = to[i];
        ASSERT_EQ(kthread, to[i]) << "burst " << burst << ", capacity " << capacity;
      }
    }
  }
}

// The hand sees a part of a large table at a time: the first new flow of the burst finds nobody to forget, a later
// one might. Neither the later one nor a second packet of the first may profit.
TEST_F(FlowAffinityTest, AFlowThatFoundNoRoomFindsNoneInTheSameBurst) {
  FlowAffinity policy = Make(4, 2000);
  FakeApp app(4, 4);
  for (KthreadId k = 0; k < 4; k++) Run(policy, app, k, k);
  (void)Steer(policy, app, Flows(2000));
  // One round of the hand takes every reference bit; then the flows of the first 300 positions are seen again.
  uint32_t next = 1'000'000;
  while (policy.counters().evictions == 0) {
    app.ConsumeAll();
    (void)Steer(policy, app, Flows(300));
    app.ConsumeAll();
    std::vector<uint32_t> hash;
    for (int copy = 0; copy < 3; copy++) {
      for (uint32_t flow = next; flow < next + 5; flow++) hash.push_back(flow);
    }
    next += 5;
    const auto to = Steer(policy, app, hash);
    for (size_t i = 0; i < 5; i++) {
      ASSERT_EQ(to[i], to[i + 5]);
      ASSERT_EQ(to[i], to[i + 10]);
    }
    ASSERT_LT(next, 2'000'000u) << "nothing was ever forgotten";
  }
}

// Chosen by an attacker, or by chance: hashes that all belong into one bucket of rte_hash.
TEST_F(FlowAffinityTest, ABucketThatOverflowsIsLikeAFullTable) {
  FlowAffinity policy = Make(4, 56);
  FakeApp app(4, 4);
  for (KthreadId k = 0; k < 4; k++) Run(policy, app, k, k);
  std::vector<uint32_t> hash;
  for (uint32_t key = 0; hash.size() < 20; key++) {
    const uint32_t signature = _mm_crc32_u32(~0u, key);
    if ((signature & 7) == 0 && ((signature >> 16) & 7) == 0) hash.push_back(key);
  }
  const auto to = Steer(policy, app, hash);
  EXPECT_EQ(policy.flows(), 8u);
  EXPECT_EQ(policy.counters().full, 12u);
  for (size_t i = 8; i < 20; i++) EXPECT_EQ(to[i], hash[i] % 4) << "by rss";
  EXPECT_EQ(Steer(policy, app, hash), to);
}

TEST_F(FlowAffinityTest, AFullTableSteersByRssAndCounts) {
  FlowAffinity policy = Make(4, 64);
  FakeApp app(4, 4);
  for (KthreadId k = 0; k < 4; k++) Run(policy, app, k, k);
  const auto old = Flows(64);
  const auto homes = Steer(policy, app, old);
  const std::vector<uint32_t> more = {1001, 1002, 1003, 1004};
  EXPECT_EQ(Steer(policy, app, more), (std::vector<KthreadId>{1, 2, 3, 0}));
  EXPECT_EQ(policy.counters().full, 4u);
  EXPECT_EQ(policy.flows(), 64u);
  EXPECT_EQ(Steer(policy, app, old), homes) << "those in the table keep their homes";
  EXPECT_EQ(policy.counters().evictions, 0u) << "their packets are still in the rings";
}

TEST_F(FlowAffinityTest, ForgetsWhatIsIdleKeepsWhatIsNot) {
  FlowAffinity policy = Make(4, 64);
  FakeApp app(4, 4);
  for (KthreadId k = 0; k < 4; k++) Run(policy, app, k, k);
  const auto all = Flows(64);
  const auto homes = Steer(policy, app, all);
  const auto busy = Flows(32);
  uint32_t next = 5000;
  for (int burst = 0; burst < 40; burst++) {
    app.ConsumeAll();
    (void)Steer(policy, app, busy);
    (void)Steer(policy, app, Flows(1, next++));
    app.ConsumeAll();
    policy.Idle(16, 0);
  }
  for (const uint32_t flow : busy) EXPECT_EQ(policy.HomeOf(flow), homes[flow]) << "never idle, never forgotten";
  EXPECT_GE(policy.counters().evictions, 8u);
  EXPECT_LE(policy.flows(), 64u);
}

// A flow whose packets are still in a ring must not be forgotten: its next packet could get another home.
TEST_F(FlowAffinityTest, ForgetsNothingWhileAnOldPacketIsQueued) {
  FlowAffinity policy = Make(2, 64);
  FakeApp app(2, 2);
  for (KthreadId k = 0; k < 2; k++) Run(policy, app, k, k);
  (void)Steer(policy, app, Flows(64));
  for (int burst = 0; burst < 100; burst++) {
    (void)Steer(policy, app, Flows(1, 5000));
    policy.Idle(1000, 0);
    app.kthread(0).rx_consumed = app.kthread(0).rx_sent;  // kthread 1 does not move
  }
  EXPECT_EQ(policy.counters().evictions, 0u);
  app.ConsumeAll();
  for (int burst = 0; burst < 4; burst++) {
    (void)Steer(policy, app, Flows(1, 5000));
    app.ConsumeAll();
    policy.Idle(1000, 0);
  }
  EXPECT_GT(policy.counters().evictions, 0u);
}

TEST_F(FlowAffinityTest, CountersAddUp) {
  FlowAffinity policy = Make(4, 100);
  FakeApp app(4, 4);
  for (KthreadId k = 0; k < 3; k++) Run(policy, app, k, k);
  std::mt19937 random(3);
  uint64_t packets = 0;
  for (int burst = 0; burst < 300; burst++) {
    std::vector<uint32_t> hash(random() % 70);
    for (uint32_t& h : hash) h = static_cast<uint32_t>(random() % 150);
    packets += hash.size();
    (void)Steer(policy, app, hash);
    app.ConsumeAll();
    policy.Idle(4, 0);
  }
  const auto& c = policy.counters();
  EXPECT_EQ(c.hits + c.misses, packets);
  EXPECT_EQ(c.inserts - c.evictions, policy.flows());
  EXPECT_LE(c.inserts + c.full, c.misses);
  EXPECT_GT(c.evictions, 0u);
  EXPECT_GT(c.full, 0u);
  EXPECT_GT(c.standin, 0u);
  uint32_t sum = 0;
  for (uint16_t home = 0; home < policy.homes(); home++) sum += policy.HomeFlows(home);
  EXPECT_EQ(sum, policy.flows());
}

}  // namespace
}  // namespace sluice
