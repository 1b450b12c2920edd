// oldest.h - since when the oldest queued packet or runnable uthread of an app has been waiting.
#pragma once

#include <algorithm>
#include <span>

#include "policies/views.h"

namespace sluice {

inline constexpr Ticks kNothingWaits = ~Ticks{0};

// kNothingWaits: neither packets nor uthreads are queued. In the signals 0 says so: one less is the latest of times.
inline Ticks OldestOf(std::span<const KthreadSignals> signals) {
  Ticks oldest = kNothingWaits;
  for (const KthreadSignals& s : signals) oldest = std::min({oldest, s.oldest_packet - 1, s.oldest_uthread - 1});
  return oldest == kNothingWaits ? kNothingWaits : oldest + 1;
}

// How long; 0 if nothing waits, or since a time that has not come yet (another core's clock may be a little ahead).
inline Ticks Waited(Ticks since, Ticks now) { return since < now ? now - since : 0; }

}  // namespace sluice
