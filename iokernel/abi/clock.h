// clock.h - time as TSC ticks, and conversions for a given frequency.
//
// Every decision takes Ticks as an argument; only the edges read the counter. The IOKernel measures the
// frequency once (iokernel/dataplane/tsc.h) and exports it in the region's header.
#pragma once

#include <x86intrin.h>

#include <cstdint>

namespace sluice::abi {

using Ticks = uint64_t;

inline Ticks ReadTsc() { return __rdtsc(); }

// Converts without a division on the hot path.
class TickRate {
 public:
  constexpr TickRate() = default;
  explicit constexpr TickRate(uint64_t hz) : hz_(hz), ns_per_tick_(1e9 / static_cast<double>(hz)) {}

  [[nodiscard]] constexpr uint64_t hz() const { return hz_; }
  [[nodiscard]] constexpr uint64_t ToNs(Ticks ticks) const {
    return static_cast<uint64_t>(static_cast<double>(ticks) * ns_per_tick_);
  }
  [[nodiscard]] constexpr double ToUs(Ticks ticks) const { return static_cast<double>(ticks) * ns_per_tick_ / 1e3; }
  [[nodiscard]] constexpr Ticks FromNs(uint64_t ns) const {
    return static_cast<Ticks>(static_cast<double>(ns) / ns_per_tick_);
  }
  [[nodiscard]] constexpr Ticks FromUs(uint64_t us) const { return FromNs(us * 1000); }

 private:
  uint64_t hz_ = 1'000'000'000;
  double ns_per_tick_ = 1.0;
};

}  // namespace sluice::abi
