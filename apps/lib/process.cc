// process.cc - what concerns the whole process: stop signals, CPUs, the choice of a transport.
#include <sched.h>

#include <atomic>
#include <charconv>
#include <csignal>
#include <cstring>

#include "apps/lib/transport.h"

namespace sluice::apps {
namespace {

std::atomic<bool> stop_requested{false};
static_assert(std::atomic<bool>::is_always_lock_free);  // it is written in a signal handler

void OnStopSignal(int) { stop_requested.store(true, std::memory_order_relaxed); }

bool ReadCpu(const char** at, const char* end, unsigned* cpu) {
  const auto [next, error] = std::from_chars(*at, end, *cpu);
  *at = next;
  return error == std::errc() && *cpu < CPU_SETSIZE;
}

}  // namespace

void CatchStopSignals() {
  struct sigaction action {};
  action.sa_handler = OnStopSignal;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool StopRequested() { return stop_requested.load(std::memory_order_relaxed); }

tl::expected<void, std::string> PinToCpus(std::string_view cpus) {
  cpu_set_t set;
  CPU_ZERO(&set);
  const char* at = cpus.data();
  const char* end = at + cpus.size();
  for (;;) {
    unsigned first = 0;
    if (!ReadCpu(&at, end, &first)) break;
    unsigned last = first;
    if (at != end && *at == '-') {
      ++at;
      if (!ReadCpu(&at, end, &last) || last < first) break;
    }
    for (unsigned cpu = first; cpu <= last; ++cpu) CPU_SET(cpu, &set);
    if (at == end) {
      if (sched_setaffinity(0, sizeof(set), &set) == 0) return {};
      return tl::unexpected("CPUs '" + std::string(cpus) + "': " + std::strerror(errno));
    }
    if (*at++ != ',') break;
  }
  return tl::unexpected("CPUs: got '" + std::string(cpus) + "', allowed is a list such as 0,2-3");
}

tl::expected<void, std::string> RunRealtime() {
  sched_param param{};
  param.sched_priority = 1;
  if (sched_setscheduler(0, SCHED_FIFO, &param) == 0) return {};
  return tl::unexpected(std::string("SCHED_FIFO: ") + std::strerror(errno) + " (it needs CAP_SYS_NICE)");
}

tl::expected<std::unique_ptr<Transport>, std::string> MakeTransport(std::string_view name,
                                                                    const TransportOptions& options) {
  if (name == "linux") return MakeLinuxTransport();
  if (name == "sluice") return MakeSluiceTransport(options);
  return tl::unexpected("transport: got '" + std::string(name) + "', allowed are sluice and linux");
}

}  // namespace sluice::apps
