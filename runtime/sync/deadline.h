// deadline.h - points in time as TSC ticks.
#pragma once

#include <cstdint>

#include "sluice/time.h"

namespace sluice::detail {

// Not before `when`; kNoDeadline if that is decades away.
[[nodiscard]] uint64_t ToTicks(Clock::time_point when);

}  // namespace sluice::detail
