// run.h - one simulation, from a plan to its figures.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "apps/simulator/engine/ledger.h"
#include "apps/simulator/engine/plan.h"
#include "apps/simulator/engine/timeline.h"

namespace sluice::sim {

struct RunResult {
  Ledger ledger;
  std::vector<double> rates;    // by app, requests per second
  MachineFigures machine = {};  // scheduler `sluice`; else only its number of events
  double wall_seconds = 0;
};

// Steering policies with a table need an EAL that was started before. `progress` counts requests. Error: a
// sentence.
[[nodiscard]] tl::expected<RunResult, std::string> Simulate(const RunPlan& plan, Timeline* timeline = nullptr,
                                                            std::atomic<uint64_t>* progress = nullptr);

}  // namespace sluice::sim
