// commands.h - what the commands of the simulator share.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <thread>
#include <tl/expected.hpp>
#include <vector>

#include "apps/simulator/engine/run.h"

namespace sluice::sim {

// Starts DPDK's environment with room for so many bytes of steering tables; does nothing for 0. Call it once.
[[nodiscard]] tl::expected<void, std::string> StartTables(uint64_t bytes);

// A few lines on stderr for a person.
void PrintSummary(const RunPlan& plan, const RunResult& result);

// A bar with the time that is left, on stderr, while it exists; nothing if stderr is no terminal.
class ProgressBar {
 public:
  explicit ProgressBar(uint64_t total);
  ~ProgressBar();
  [[nodiscard]] std::atomic<uint64_t>* done() { return &done_; }

 private:
  void Show() const;
  const uint64_t total_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::atomic<uint64_t> done_{0};
  std::jthread shower_;
};

// A job of a sweep: what `simulator run` was to be told, and the plan that comes of it.
struct SweepJob {
  std::string command;
  RunPlan plan;
};
// Runs the jobs on `threads` threads. Results are in the order of the jobs, whoever was done first. Error: a sentence.
[[nodiscard]] tl::expected<std::vector<RunResult>, std::string> RunSweep(const std::vector<SweepJob>& jobs,
                                                                         uint32_t threads);

// calibrate_profile.cc. Measures this machine's costs: a profile, in which what was not measured keeps its default and
// says so. Leaves the caller on one CPU. Error: a sentence.
[[nodiscard]] tl::expected<std::string, std::string> Calibrate();

}  // namespace sluice::sim
