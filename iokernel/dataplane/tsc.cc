#include "iokernel/dataplane/tsc.h"

#include <cpuid.h>
#include <time.h>

#include <cstdio>
#include <fstream>

namespace sluice {
namespace {

// CPUID 0x80000007, EDX bit 8: the TSC runs at one rate in all power states.
bool CpuPromisesInvariant() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid(0x80000000, &eax, &ebx, &ecx, &edx) == 0 || eax < 0x80000007) return false;
  __get_cpuid(0x80000007, &eax, &ebx, &ecx, &edx);
  return (edx >> 8 & 1) != 0;
}

std::string KernelClockSource() {
  std::ifstream file("/sys/devices/system/clocksource/clocksource0/current_clocksource");
  std::string name;
  file >> name;
  return name;
}

struct Instant {
  uint64_t ns;
  abi::Ticks ticks;
};

// One reading of both clocks. The best of several attempts: the one with the least between the two TSC reads.
Instant ReadBoth() {
  Instant best{};
  abi::Ticks best_gap = ~abi::Ticks{0};
  for (int i = 0; i < 16; ++i) {
    timespec now{};
    const abi::Ticks before = abi::ReadTsc();
    clock_gettime(CLOCK_MONOTONIC_RAW, &now);
    const abi::Ticks gap = abi::ReadTsc() - before;
    if (gap >= best_gap) continue;
    best_gap = gap;
    best = {static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec), before + gap / 2};
  }
  return best;
}

}  // namespace

TscInfo MeasureTsc() {
  const Instant start = ReadBoth();
  const timespec pause{0, 20'000'000};
  nanosleep(&pause, nullptr);
  const Instant end = ReadBoth();
  const double hz = static_cast<double>(end.ticks - start.ticks) * 1e9 / static_cast<double>(end.ns - start.ns);

  TscInfo info;
  info.rate = abi::TickRate(static_cast<uint64_t>(hz));
  const std::string source = KernelClockSource();
  // Under a hypervisor the kernel may keep time by a paravirtual clock that is itself the TSC.
  const bool promised = CpuPromisesInvariant();
  info.invariant = promised || source == "tsc";
  char text[160];
  std::snprintf(text, sizeof(text), "TSC at %.1f MHz, %s; the kernel's clock source is %s", hz / 1e6,
                promised ? "invariant" : "not promised to be invariant: intervals may be wrong",
                source.empty() ? "unknown" : source.c_str());
  info.note = text;
  return info;
}

}  // namespace sluice
