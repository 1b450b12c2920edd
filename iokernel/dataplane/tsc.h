// tsc.h - the frequency of the TSC, measured once at start, and whether it may be trusted.
//
// Every time in the dataplane, the brain and the runtimes is in TSC ticks. That needs a counter that runs at one
// rate on all CPUs ("invariant"). Where the CPU does not promise it, we go on and say so: intervals may be wrong.
#pragma once

#include <string>

#include "iokernel/abi/clock.h"

namespace sluice {

struct TscInfo {
  abi::TickRate rate;
  bool invariant = false;  // promised by CPUID, or by the kernel having chosen it as its clock source
  std::string note;        // one line for the log; a warning if not invariant
};

// Measures against CLOCK_MONOTONIC_RAW; takes about 20 ms.
[[nodiscard]] TscInfo MeasureTsc();

}  // namespace sluice
