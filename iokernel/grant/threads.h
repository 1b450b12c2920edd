// threads.h - threads of another process: are these ids really its own, and how the kernel ranks them.
#pragma once

#include <sys/types.h>

#include <span>
#include <string>
#include <tl/expected.hpp>

#include "policies/views.h"

namespace sluice {

// Every id must be in /proc/PID/task, and none may come twice. `pid` is the peer's as the kernel reported it
// (SO_PEERCRED). Control thread. Error: a sentence that names the id.
[[nodiscard]] tl::expected<void, std::string> VerifyThreads(pid_t pid, std::span<const pid_t> tids);

// Best-effort threads run as SCHED_IDLE, others as they were, but never so: an earlier attachment may have ended in an
// eviction. 0 or an errno.
[[nodiscard]] int ApplyPriority(pid_t tid, Priority priority);

}  // namespace sluice
