// calibrate.h - the measurements behind `simulator calibrate`. Each function measures costs as costs.h defines them.
//
// calibrate.cc has one CPU, the caller's; calibrate_between.cc has two; calibrate_profile.cc puts them together.
#pragma once

#include <algorithm>
#include <cstdint>
#include <ctime>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "apps/simulator/engine/time.h"

namespace sluice::sim {

inline uint64_t NowNs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

// The least disturbed of up to 31 tries of `count` rounds of `work`: what one round takes. No new try after a second.
template <class Work>
Time Each(uint32_t count, Work&& work) {
  constexpr uint64_t kLongEnoughNs = 1'000'000'000;
  uint64_t least = ~uint64_t{0};
  const uint64_t begin = NowNs();
  for (int tries = 0; tries < 31 && (tries == 0 || NowNs() - begin < kLongEnoughNs); ++tries) {
    const uint64_t start = NowNs();
    work();
    least = std::min(least, NowNs() - start);
  }
  return static_cast<Time>(static_cast<double>(least) / count * static_cast<double>(kNs));
}

// -- one CPU --

// A pass over `kthreads` running ones, their lines in this core's cache.
[[nodiscard]] Time MeasurePass(uint16_t kthreads);

struct FlowTableCosts {
  Time lookup = 0, insert = 0;
};
// More than `rss` takes for a packet: flow-affinity with 700 000 flows. Error: no memory for the table, a sentence.
[[nodiscard]] tl::expected<FlowTableCosts, std::string> MeasureFlowTable();

// -- two CPUs --

// The CPUs that the calling thread may use. Read them before anybody is pinned: threads inherit what is left.
[[nodiscard]] std::vector<uint32_t> AllowedCpus();
// The calling thread is on that CPU when this returns, or the process ends.
void PinTo(uint32_t cpu);

// All between the caller and a thread on the CPU `other`, which is not the caller's.
struct Handing {
  Time caller = 0;  // in the system call, on the caller's CPU
  Time there = 0;   // from its return to the other's first instruction; 0 if that came earlier
  Time after = 0;   // of a signal: from the handler's first instruction until the thread goes on
};
[[nodiscard]] Time MeasureHop(uint32_t other);
[[nodiscard]] Handing MeasureWake(uint32_t other);
[[nodiscard]] Handing MeasureSignal(uint32_t other);
// `lines` cache lines that the other CPU has written last, read one after the other; less what they take when they
// are here.
[[nodiscard]] Time MeasureCold(uint32_t other, uint32_t lines);

}  // namespace sluice::sim
