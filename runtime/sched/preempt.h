// preempt.h - turns preemption off and on for the calling thread.
//
// While it is off a signal only leaves a note, and so does one that would end a time slice where that cannot be
// (slice.h); the uthread gives way when preemption comes back on, be it after the next call into the runtime. So
// whoever holds a spin lock, a softirq flag or a Kthread& keeps it off. It nests. The depth belongs to the pthread:
// every switch happens at depth one. On a plain pthread it counts and does nothing else.
#pragma once

#include <cstdint>

#include "runtime/arch/x86_64/thread_state.h"

namespace sluice::sched {

// A signal came while preemption was off: gives way at once (kthread.cc).
[[gnu::cold]] void GiveWay();

inline void PreemptDisable() { arch::IncrementPreemptWord(); }
inline void PreemptEnable() {
  if (arch::DecrementPreemptWord()) [[unlikely]]
    GiveWay();
}
inline uint32_t PreemptDepth() { return arch::PreemptWord() & ~arch::kNoCedePending; }

class PreemptGuard {
 public:
  PreemptGuard() { PreemptDisable(); }
  ~PreemptGuard() { PreemptEnable(); }
  PreemptGuard(const PreemptGuard&) = delete;
  PreemptGuard& operator=(const PreemptGuard&) = delete;
};

}  // namespace sluice::sched
