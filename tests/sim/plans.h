// plans.h - plans as the tests of the simulator want them, and their results.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "apps/simulator/engine/run.h"

namespace sluice::sim {

inline constexpr int kSeeds = 10;

struct System {
  std::string scheduler;
  std::string service;
  uint16_t cores = 1;
  double load = 0.8;
  uint32_t requests = 300'000;
};

inline RunPlan PlanOf(const System& system, uint64_t seed) {
  AppPlan app;
  app.service = ServiceTime::Parse(system.service).value();
  app.load = system.load;
  app.flows = 0;
  app.guaranteed = 1;
  RunPlan plan;
  plan.cores = system.cores;
  plan.scheduler = system.scheduler;
  plan.requests = system.requests;
  plan.seed = seed;
  plan.apps = {app};
  return plan;
}

inline RunResult Result(const RunPlan& plan) {
  auto result = Simulate(plan);
  EXPECT_TRUE(result) << result.error();
  return std::move(*result);
}

inline const Recorder& Requests(const RunResult& result) { return result.ledger.recorders()[0]; }

// What `figures` gives for each seed, one by one: the mean, and half the width of its 99 % interval (Student, 9 degrees
// of freedom).
inline std::vector<Interval> AllOverSeeds(const std::function<std::vector<double>(uint64_t)>& figures) {
  std::vector<std::vector<double>> runs;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) runs.push_back(figures(seed));
  std::vector<Interval> intervals;
  for (size_t i = 0; i < runs[0].size(); ++i) {
    double sum = 0, squares = 0;
    for (const auto& run : runs) sum += run[i];
    const double mean = sum / kSeeds;
    for (const auto& run : runs) squares += (run[i] - mean) * (run[i] - mean);
    intervals.push_back({mean, 3.2498 * std::sqrt(squares / (kSeeds - 1) / kSeeds)});
  }
  return intervals;
}
inline Interval OverSeeds(const std::function<double(uint64_t)>& figure) {
  return AllOverSeeds([&](uint64_t seed) { return std::vector{figure(seed)}; })[0];
}

// `widest`: an interval wider than that share of the theory would show nothing.
inline void ExpectNear(const Interval& seen, double theory, double widest = 0.05) {
  EXPECT_NEAR(seen.mean, theory, std::max(0.01 * theory, seen.half_width)) << "half width " << seen.half_width;
  EXPECT_LT(seen.half_width, widest * theory) << "too few requests to tell";
}

}  // namespace sluice::sim
