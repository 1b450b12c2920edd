#include "apps/simulator/commands.h"

#include <unistd.h>

#include <cstdio>
#include <memory>

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

}  // namespace sluice::sim
