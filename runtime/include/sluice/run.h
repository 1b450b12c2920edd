// run.h - makes this process an app of an IOKernel and runs a function in its first uthread.
//
//   int main(int argc, char** argv) {
//     return sluice::Run(sluice::RunConfig::FromArgs(argc, argv), [] { ...; return 0; });
//   }
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

namespace sluice {

// What an app asks of its IOKernel. Zero or empty: as iokerneld's configuration says.
struct RunConfig {
  enum class Priority : uint32_t { kAsConfigured = 0, kLatencyCritical = 1, kBestEffort = 2 };

  std::string name;         // its entry in iokerneld's configuration; empty: the program's name
  std::string run_dir;      // where iokerneld runs; empty: SLUICE_RUN_DIR, else /run/sluice
  uint32_t address = 0;     // IPv4, host order; 0: the entry's own, else any free one
  uint32_t kthreads = 0;    // at most so many cores at a time
  uint32_t guaranteed = 0;  // cores it can always have
  Priority priority = Priority::kAsConfigured;
  std::string steering;   // a steering policy's name
  uint32_t flows = 0;     // capacity of its flow table, for policies that keep one
  size_t stack_size = 0;  // bytes of a uthread's stack; 0: the runtime's default
  std::string problem;    // what FromArgs could not make sense of; Run prints it and returns kExitUsage

  // Takes `--sluice-run-dir DIR`, `--sluice-name NAME` and `--sluice-address ADDRESS` (or `--option=VALUE`) out of
  // the arguments; the others keep their order.
  [[nodiscard]] static RunConfig FromArgs(int& argc, char** argv);
};

inline constexpr int kExitUsage = 2;    // a wrong argument or configuration
inline constexpr int kExitRefused = 3;  // there is no iokerneld, or it refused; the reason is on stderr

// Attaches to iokerneld, says so on stderr ("sluice: memcached is 10.0.0.2 on iokerneld pid 4711"), runs `main` in
// the first uthread and returns its value: the process's exit code. Uthreads still alive then do not run again.
// If the IOKernel goes away meanwhile, calls that wait for packets return Error::kIoKernelGone; `main` goes on.
// A child of fork is no app: it may exec, and calls nothing of sluice before.
[[nodiscard]] int Run(const RunConfig& config, const std::function<int()>& main);

// This app's IPv4 address, host order; 0 outside of Run.
[[nodiscard]] uint32_t LocalAddress();

}  // namespace sluice
