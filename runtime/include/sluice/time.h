// time.h - the runtime's clock, and sleeping.
#pragma once

#include <chrono>

namespace sluice {

// Monotonic nanoseconds from the TSC. Any thread; outside of the runtime's life it stands at zero.
struct Clock {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<Clock>;
  static constexpr bool is_steady = true;

  static time_point now();
  // now() + timeout; time_point::max(), which means never, when that is out of range.
  static time_point After(duration timeout);
};

inline Clock::time_point Now() { return Clock::now(); }

// Block the calling uthread. A sleep ends no earlier, and as soon after as a kthread gets to its timers.
void SleepUntil(Clock::time_point when);
void Sleep(std::chrono::nanoseconds duration);

}  // namespace sluice
