// time.h - virtual time: picoseconds since the start of a run. 2^64 of them are 213 days.
//
// The brain's ticks are nanoseconds here, as if the machine's counter ran at 1 GHz.
#pragma once

#include <cstdint>

#include "iokernel/abi/clock.h"

namespace sluice::sim {

using Time = uint64_t;

inline constexpr Time kNever = ~Time{0};
inline constexpr Time kNs = 1000;
inline constexpr Time kUs = 1000 * kNs;
inline constexpr Time kSecond = 1'000'000 * kUs;

constexpr abi::Ticks ToTicks(Time time) { return time / kNs; }
constexpr double ToUs(Time time) { return static_cast<double>(time) / static_cast<double>(kUs); }
constexpr double ToSeconds(Time time) { return static_cast<double>(time) / static_cast<double>(kSecond); }

}  // namespace sluice::sim
