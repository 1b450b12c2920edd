// Recorded logs under the same and under other policies.
#include "apps/simulator/engine/replay.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstring>
#include <string>
#include <vector>

#include "tests/lib/eal.h"
#include "tests/sim/plans.h"

namespace sluice::sim {
namespace {

// The log of a run, judged by the policies that were recorded: they say the same again. Others do not.
TEST(Replay, TheRecordedPoliciesDecideAsRecorded) {
  for (const std::string congestion : {"standing-queue", "delay", "priority-heap"}) {
    RunPlan plan = PlanOf({"sluice", "exp:10us", 8, 0.5, 20'000}, 1);
    plan.congestion = congestion;
    std::vector<std::byte> log;
    ASSERT_TRUE(Simulate(plan, {.log = &log}));
    const auto same = Replay(log, {});
    ASSERT_TRUE(same) << same.error();
    EXPECT_TRUE(same->complete);
    EXPECT_EQ(same->dropped, 0u);
    EXPECT_GT(same->grants, 100u);
    EXPECT_GT(same->verdicts[1][1], 50u);
    EXPECT_EQ(same->OtherVerdicts(), 0u) << congestion;
    EXPECT_GT(same->picks, 50u);
    EXPECT_EQ(same->other_picks, 0u);
    const auto other = Replay(log, {.congestion = "delay:1ms", .pick = "lru"});
    ASSERT_TRUE(other) << other.error();
    EXPECT_GT(other->verdicts[1][0], 50u);
    EXPECT_GT(other->other_picks, 0u);
  }
}

// The daemon's log counts in ticks of its own clock: ten thousand of them are 5 us if it runs at 2 GHz.
TEST(Replay, ThePoliciesAreToldTimesInTheTicksOfTheLog) {
  RunPlan plan = PlanOf({"sluice", "exp:10us", 8, 0.5, 20'000}, 1);
  plan.congestion = "delay:10us";
  std::vector<std::byte> log;
  ASSERT_TRUE(Simulate(plan, {.log = &log}));
  constexpr uint64_t kHz = 2'000'000'000;
  std::memcpy(log.data() + offsetof(record::FileHeader, tsc_hz), &kHz, sizeof kHz);
  const auto half = Replay(log, {.congestion = "delay:5us"});
  ASSERT_TRUE(half) << half.error();
  EXPECT_EQ(half->OtherVerdicts(), 0u);
  EXPECT_GT(Replay(log, {.congestion = "delay:10us"})->OtherVerdicts(), 0u);
}

// Three apps that compete for cores with siblings on two nodes: which core, and whose it was.
RunPlan Crowd(const std::string& placement, const std::string& steering) {
  RunPlan plan = PlanOf({"sluice", "exp:10us", 12, 0.3, 30'000}, 1);
  plan.apps[0].flows = 100;
  plan.apps.push_back(plan.apps[0]);
  plan.apps[1].name = "other";
  plan.apps[1].guaranteed = 6;
  AppPlan batch;
  batch.name = "batch";
  batch.gets_requests = false;
  batch.flows = 0;
  batch.priority = Priority::kBestEffort;
  batch.batch_threads = 16;
  plan.apps.push_back(batch);
  plan.hyperthreads = true;
  plan.nodes = 2;
  plan.placement = placement;
  plan.steering = steering;
  return plan;
}

TEST(Replay, PlacementsAreComparedCoreByCore) {
  sluice::testing::StartEal();
  for (const std::string steering : {"rss", "flow-affinity"}) {
    for (const std::string placement : {"simple", "sibling-aware", "numa"}) {
      std::vector<std::byte> log;
      ASSERT_TRUE(Simulate(Crowd(placement, steering), {.log = &log}));
      const auto same = Replay(log, {});
      ASSERT_TRUE(same) << same.error();
      EXPECT_GT(same->placement.decisions, 1000u);
      EXPECT_EQ(same->placement.Differ(), 0u) << placement;
      // Each recorded choice follows from the log: the shadow of the machine is right.
      EXPECT_EQ(same->placement.unseen, 0u) << placement << ", " << steering;
      const auto other = Replay(log, {.placement = placement == "numa" ? "simple" : "numa"});
      ASSERT_TRUE(other) << other.error();
      EXPECT_GT(other->placement.other_core, 100u) << placement;
      EXPECT_EQ(other->placement.first.size(), PlacementComparison::kFirst);
    }
  }
  EXPECT_FALSE(Replay({}, {.placement = "simple"}));
}

}  // namespace
}  // namespace sluice::sim
