// threads.h - are these thread ids really threads of that process? Asked before any of them is believed.
#pragma once

#include <sys/types.h>

#include <span>
#include <string>
#include <tl/expected.hpp>

namespace sluice {

// Every id must be in /proc/PID/task, and none may come twice. `pid` is the peer's as the kernel reported it
// (SO_PEERCRED). Control thread. Error: a sentence that names the id.
[[nodiscard]] tl::expected<void, std::string> VerifyThreads(pid_t pid, std::span<const pid_t> tids);

}  // namespace sluice
