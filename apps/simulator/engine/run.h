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

// What one may look at beside the result; each may be null.
struct Watch {
  std::atomic<uint64_t>* progress = nullptr;  // counts requests, for another thread
  Timeline* timeline = nullptr;               // scheduler `sluice`
  std::vector<std::byte>* log = nullptr;      // scheduler `sluice`: the record of its decisions (replay.h)
};

// Why iokerneld would not take the plan's time slices: a sentence; empty: it would. The simulator does.
[[nodiscard]] std::string DaemonRefuses(const RunPlan& plan);

// Steering policies with a table need an EAL that was started before. Error: a sentence.
[[nodiscard]] tl::expected<RunResult, std::string> Simulate(const RunPlan& plan, const Watch& watch = {});

}  // namespace sluice::sim
