// run.h - one simulation: what is asked, and what came out.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "apps/simulator/engine/distribution.h"
#include "apps/simulator/engine/ledger.h"
#include "apps/simulator/engine/time.h"
#include "policies/views.h"

namespace sluice::sim {

// One app and what is sent to it.
struct AppPlan {
  std::string name = "app";
  ArrivalProcess arrivals;
  ServiceTime service;
  double load = 0;  // of all cores, if `rate` is 0 and the arrivals have none of their own
  double rate = 0;  // requests per second
  uint32_t flows = 10'000;
  Priority priority = Priority::kLatencyCritical;
};

struct RunPlan {
  uint16_t cores = 16;
  std::string scheduler = "sluice";
  uint32_t requests = 1'000'000;
  double warm_up = 0.1;  // share of the requests that is not counted
  uint64_t seed = 1;
  std::vector<AppPlan> apps;
};

struct RunResult {
  Ledger ledger;
  std::vector<double> rates;  // by app, per second
  uint64_t events = 0;
  double wall_seconds = 0;
};

// Error: a sentence.
[[nodiscard]] tl::expected<RunResult, std::string> Simulate(const RunPlan& plan);

}  // namespace sluice::sim
