// options.h - the command line of the simulator's `run` and `sweep` as plans. Includes CLI11: for this program only.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "apps/simulator/engine/plan.h"

namespace sluice::sim {

// What the user typed; only what he typed overrides a scenario file.
struct RunOptions {
  std::string scenario, profile;
  std::string arrivals, service, interval, idle_spin, slice, window;
  std::string scheduler, steering, pick, congestion, placement;
  std::string requests;
  double load = 0;
  double rate = 0;
  double warm_up = -1;
  uint32_t cores = 0, flows = 0;
  uint64_t seed = 0;
  bool install_flows = false;
  CLI::Option* flows_given = nullptr;
  CLI::Option* seed_given = nullptr;

  void AddTo(CLI::App* command);
  // The scenario, or the default one, with what was typed laid over it. Error: a sentence.
  [[nodiscard]] tl::expected<RunPlan, std::string> Plan() const;
};

// EAL memory for tables of `jobs` such runs at a time; 0: no EAL is needed.
[[nodiscard]] uint64_t TableBytes(const RunPlan& plan);

}  // namespace sluice::sim
