// flow-affinity-hybrid: a new flow costs a failed lookup, gets its home in Idle, and does not move when it does.
#include "policies/steering/flow_affinity_hybrid.h"

#include <gtest/gtest.h>

#include "policies/steering/rss.h"
#include "tests/lib/eal.h"
#include "tests/unit/policies/steering/simulation.h"

namespace sluice {
namespace {

using testing::FakeApp;
using testing::FlowHash;
using testing::Simulation;
using testing::Steer;

class FlowAffinityHybridTest : public ::testing::Test {
 protected:
  void SetUp() override { testing::StartEal(); }
};

std::vector<uint32_t> Flows(uint32_t count, uint32_t first = 0) {
  std::vector<uint32_t> hash(count);
  for (uint32_t i = 0; i < count; i++) hash[i] = FlowHash(first + i);
  return hash;
}

void RunAll(FlowAffinityHybrid& policy, FakeApp& app, std::initializer_list<KthreadId> kthreads) {
  for (const KthreadId k : kthreads) {
    app.Run(k, k);
    policy.OnActiveChange(app.view());
  }
}

TEST_F(FlowAffinityHybridTest, NewFlowsGoByRssAndGetTheirHomeInIdle) {
  FlowAffinityHybrid policy({.max_kthreads = 8, .cores = 8, .flows = 5000});
  Rss rss({});
  FakeApp app(8, 8);
  RunAll(policy, app, {0, 1, 2, 3, 4});
  const auto hash = Flows(4000);
  const auto first = Steer(policy, app, hash);
  EXPECT_EQ(first, Steer(rss, app, hash));
  EXPECT_EQ(policy.flows(), 0u) << "nothing is inserted on the critical path";
  policy.Idle(100, 0);
  EXPECT_EQ(policy.flows(), 100u) << "a batch";
  policy.Idle(10'000, 0);
  EXPECT_EQ(policy.flows(), 4000u);
  EXPECT_EQ(Steer(policy, app, hash), first) << "getting a home moves nobody";
  EXPECT_EQ(policy.counters().hits, 4000u);
  EXPECT_EQ(policy.counters().waiting, 4000u);
}

// With five of eight kthreads active, all eight homes have flows: those that are away through their stand-ins.
TEST_F(FlowAffinityHybridTest, HomesThatAreAwayGetFlowsToo) {
  FlowAffinityHybrid policy({.max_kthreads = 8, .cores = 8, .flows = 8000});
  FakeApp app(8, 8);
  RunAll(policy, app, {0, 1, 2, 3, 4});
  for (uint32_t part = 0; part < 8; part++) {
    (void)Steer(policy, app, Flows(1000, part * 1000));
    policy.Idle(1000, 0);
  }
  ASSERT_EQ(policy.flows(), 8000u);
  // Each active kthread has a fifth of the flows, 1600, shared with the homes that it serves.
  for (uint16_t home = 0; home < 8; home++) {
    EXPECT_GT(policy.HomeFlows(home), 400u) << home;
    EXPECT_LT(policy.HomeFlows(home), 1800u) << home;
  }
}

// regression guard: after a change of the active kthreads a home that had flows took no other until one of its own sent
// a packet; with changes more frequent than that, hardly any flow got a home.
TEST_F(FlowAffinityHybridTest, NewFlowsGetHomesWhileKthreadsComeAndGo) {
  constexpr uint32_t kRounds = 200, kNew = 16;
  FlowAffinityHybrid policy({.max_kthreads = 4, .cores = 4, .flows = kRounds * kNew});
  FakeApp app(4, 4);
  RunAll(policy, app, {0, 1, 2, 3});
  for (uint32_t round = 0; round < kRounds; round++) {
    if (round % 2 == 0) {
      app.Park(3);
    } else {
      app.Run(3, 3);
    }
    policy.OnActiveChange(app.view());
    app.ConsumeAll();
    const auto hash = Flows(kNew, round * kNew);
    const auto to = Steer(policy, app, hash);
    policy.Idle(1000, 0);
    EXPECT_EQ(Steer(policy, app, hash), to) << "getting a home moves nobody";
  }
  // But for the flows of kthread 3: its home serves another until its silent flows send again.
  EXPECT_GE(policy.flows(), kRounds * kNew * 8 / 10);
}

// Once warm it is flow-affinity: 4 -> 5 -> 4 moves no flow whose home stays, and of the others only the fifth's.
TEST_F(FlowAffinityHybridTest, OnceWarmNoFlowMovesWhoseHomeStays) {
  FlowAffinityHybrid policy({.max_kthreads = 5, .cores = 5, .flows = 4000});
  FakeApp app(5, 5);
  RunAll(policy, app, {0, 1, 2, 3});
  const auto hash = Flows(4000);
  const auto four = Steer(policy, app, hash);
  policy.Idle(4000, 0);
  app.ConsumeAll();
  RunAll(policy, app, {4});
  const auto five = Steer(policy, app, hash);
  size_t moved = 0;
  for (size_t i = 0; i < hash.size(); i++) {
    if (five[i] != four[i]) {
      EXPECT_EQ(five[i], 4);
      moved++;
    }
  }
  EXPECT_EQ(moved, policy.HomeFlows(4));
  app.ConsumeAll();
  app.Park(4);
  policy.OnActiveChange(app.view());
  const auto again = Steer(policy, app, hash);
  for (size_t i = 0; i < hash.size(); i++) {
    if (five[i] != 4) {
      EXPECT_EQ(again[i], four[i]);
    }
  }
}

TEST_F(FlowAffinityHybridTest, AChangeOfTheActiveForgetsTheNotesNotTheFlows) {
  FlowAffinityHybrid policy({.max_kthreads = 4, .cores = 4, .flows = 100});
  FakeApp app(4, 4);
  RunAll(policy, app, {0, 1});
  (void)Steer(policy, app, Flows(10));
  RunAll(policy, app, {2});
  policy.Idle(100, 0);
  EXPECT_EQ(policy.flows(), 0u) << "nobody knows who has their packets now";
  const auto to = Steer(policy, app, Flows(10));
  policy.Idle(100, 0);
  EXPECT_EQ(policy.flows(), 10u);
  EXPECT_EQ(Steer(policy, app, Flows(10)), to);
}

TEST_F(FlowAffinityHybridTest, AFlowWithManyPacketsIsNotedOnce) {
  FlowAffinityHybrid policy({.max_kthreads = 2, .cores = 2, .flows = 100});
  FakeApp app(2, 2);
  RunAll(policy, app, {0, 1});
  for (int burst = 0; burst < 100; burst++) (void)Steer(policy, app, std::vector<uint32_t>(64, FlowHash(1)));
  (void)Steer(policy, app, Flows(1, 2));
  policy.Idle(2, 0);
  EXPECT_EQ(policy.flows(), 2u);
}

TEST_F(FlowAffinityHybridTest, AFullTableForgetsIdleFlowsInIdleToo) {
  FlowAffinityHybrid policy({.max_kthreads = 2, .cores = 2, .flows = 64});
  FakeApp app(2, 2);
  RunAll(policy, app, {0, 1});
  for (uint32_t burst = 0; burst < 200; burst++) {
    (void)Steer(policy, app, Flows(40, burst * 40));
    app.ConsumeAll();
    policy.Idle(100, 0);
    ASSERT_LE(policy.flows(), 64u);
  }
  EXPECT_GT(policy.counters().evictions, 1000u);
}

// The simulation of flow_affinity_order_test, with the active kthreads left alone: under any load, and whenever Idle
// comes, no packet overtakes another of its flow.
class Steady final : public Simulation<FlowAffinityHybrid> {
 public:
  explicit Steady(uint32_t seed) : Simulation(seed, 1000) {
    for (KthreadId k = 0; k < kthreads_; k += 2) {
      app_.Run(k, k);
      steering_.OnActiveChange(app_.view());
    }
  }
  void Go(int steps) {
    for (int step = 0; step < steps && !HasFatalFailure(); step++) {
      const auto die = random_() % 4;
      if (die == 0) Burst();
      if (die == 1) steering_.Idle(static_cast<uint32_t>(random_() % 16), 0);
      if (die > 1) Work();
    }
    homed += steering_.flows();
  }
  static bool HasFatalFailure() { return ::testing::Test::HasFatalFailure(); }
  uint64_t homed = 0;
};

TEST_F(FlowAffinityHybridTest, NoPacketOvertakesWhileTheActiveStay) {
  uint64_t homed = 0;
  for (uint32_t seed = 1; seed <= 200; seed++) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Steady simulation(seed);
    simulation.Go(1000);
    ASSERT_FALSE(HasFatalFailure());
    EXPECT_EQ(simulation.out_of_order, 0u);
    homed += simulation.homed;
  }
  EXPECT_GT(homed, 5000u);
}

// And where they come and go: every packet to an active kthread (the simulation asserts it), far less reordering.
TEST_F(FlowAffinityHybridTest, ReordersFarLessThanRssUnderChange) {
  uint64_t hybrid = 0, rss = 0;
  for (uint32_t seed = 1; seed <= 100; seed++) {
    Simulation<FlowAffinityHybrid> a(seed, 1000);
    a.Run(2000);
    ASSERT_FALSE(HasFatalFailure());
    hybrid += a.out_of_order;
    Simulation<Rss> b(seed, 0);
    b.Run(2000);
    rss += b.out_of_order;
  }
  EXPECT_LT(hybrid * 2, rss);
}

}  // namespace
}  // namespace sluice
