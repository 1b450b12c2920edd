#include "apps/simulator/commands.h"

#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "iokernel/dataplane/eal.h"

namespace sluice::sim {

tl::expected<void, std::string> StartTables(uint64_t bytes) {
  if (bytes == 0) return {};
  static std::unique_ptr<Eal> eal;  // until the process ends
  auto started = Eal::Start({.memory_bytes = bytes,
                             .unique = "simulator-" + std::to_string(getpid()),
                             .pci_address = {},
                             .allow_hugepages = false});
  if (!started) return tl::unexpected(started.error());
  eal = std::move(*started);
  return {};
}

void PrintSummary(const RunPlan& plan, const RunResult& result) {
  for (size_t i = 0; i < plan.apps.size(); ++i) {
    const AppPlan& app = plan.apps[i];
    if (!app.gets_requests) continue;
    const Recorder& recorder = result.ledger.recorders()[i];
    const auto us = [&](double percent) { return PercentileNs(recorder.histogram(), percent) / 1e3; };
    std::fprintf(stderr, "%s: %.0f requests/s, %s: mean %.3f us, p50 %.3f, p99 %.3f, p99.9 %.3f\n", app.name.c_str(),
                 result.rates[i], app.service.text().c_str(), recorder.MeanUs(), us(50), us(99), us(99.9));
  }
  const Totals& begin = result.ledger.begin();
  const Totals& end = result.ledger.end();
  const double window = ToSeconds(end.at - begin.at) * static_cast<double>(kSecond);
  std::fprintf(stderr, "%u cores: %.2f used, %.2f busy; %llu grants; %.2f M requests/s simulated\n", plan.cores,
               window > 0 ? static_cast<double>(end.held - begin.held) / window : 0,
               window > 0 ? static_cast<double>(end.BusyCoreTime() - begin.BusyCoreTime()) / window : 0,
               static_cast<unsigned long long>(result.machine.grants), plan.requests / result.wall_seconds / 1e6);
}

ProgressBar::ProgressBar(uint64_t total) : total_(total) {
  if (isatty(STDERR_FILENO) == 0) return;
  shower_ = std::jthread([this](const std::stop_token& stop) {
    std::mutex mutex;
    std::condition_variable_any wake;
    std::unique_lock lock(mutex);
    while (!wake.wait_for(lock, stop, std::chrono::milliseconds(250), [] { return false; })) {
      if (stop.stop_requested()) return;
      Show();
    }
  });
}

ProgressBar::~ProgressBar() {
  if (!shower_.joinable()) return;
  shower_.request_stop();
  shower_.join();
  std::fprintf(stderr, "\r\033[K");
}

void ProgressBar::Show() const {
  constexpr int kWidth = 40;
  const double share = std::min(1.0, static_cast<double>(done_.load()) / static_cast<double>(total_));
  const double elapsed = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  const auto full = static_cast<int>(share * kWidth);
  std::fprintf(stderr, "\r[%.*s%*s] %3.0f %%", full, "########################################", kWidth - full, "",
               share * 100);
  if (share > 0) std::fprintf(stderr, ", %.0f s left ", elapsed * (1 - share) / share);
}

tl::expected<std::vector<RunResult>, std::string> RunSweep(const std::vector<SweepJob>& jobs, uint32_t threads) {
  uint64_t requests = 0;
  for (const SweepJob& job : jobs) requests += job.plan.requests;
  ProgressBar bar(requests);
  std::vector<std::optional<RunResult>> results(jobs.size());
  std::atomic<size_t> next{0};
  std::mutex mutex;
  std::string error;
  {
    std::vector<std::jthread> workers;
    for (uint32_t i = 0; i < threads; ++i) {
      workers.emplace_back([&] {
        for (size_t job; (job = next.fetch_add(1)) < jobs.size();) {
          auto result = Simulate(jobs[job].plan, {.progress = bar.done()});
          if (result) {
            results[job].emplace(std::move(*result));
          } else {
            const std::lock_guard guard(mutex);
            error = jobs[job].command + ": " + result.error();
          }
        }
      });
    }
  }
  if (!error.empty()) return tl::unexpected(error);
  std::vector<RunResult> all;
  all.reserve(results.size());
  for (auto& result : results) all.push_back(std::move(*result));
  return all;
}

}  // namespace sluice::sim
