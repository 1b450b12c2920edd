// options.h - the command line of the simulator's `run` and `sweep` as plans. Includes CLI11: for this program only.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <tl/expected.hpp>

#include "apps/simulator/engine/plan.h"

namespace sluice::sim {

// What the user typed; only what he typed overrides a scenario file. Values are read, and refused, as they are parsed.
struct RunOptions {
  std::optional<std::string> scenario, profile;
  std::optional<std::string> scheduler, steering, pick, congestion, placement;
  std::optional<ArrivalProcess> arrivals;
  std::optional<ServiceTime> service;
  std::optional<double> load, rate, warm_up;
  std::optional<uint64_t> cores, flows, requests, seed;
  std::optional<Time> interval, idle_spin, slice, window;
  bool install_flows = false;

  void AddTo(CLI::App* command);
  // The scenario, or the default one, with what was typed laid over it. Error: a sentence.
  [[nodiscard]] tl::expected<RunPlan, std::string> Plan() const;

 private:
  [[nodiscard]] tl::expected<void, std::string> SetLoad(AppPlan* app) const;
  [[nodiscard]] tl::expected<void, std::string> RefuseWhatHasNoEffect(const RunPlan& plan, const AppPlan& app) const;
};

// A name, of a file or of a policy: any text but an empty one.
CLI::Option* AddName(CLI::App* command, const std::string& flag, std::optional<std::string>* value,
                     const std::string& help);

// EAL memory for tables of `jobs` such runs at a time; 0: no EAL is needed.
[[nodiscard]] uint64_t TableBytes(const RunPlan& plan);

}  // namespace sluice::sim
