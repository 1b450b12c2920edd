// preempt.h - for code that must not be interrupted: it holds a pthread mutex, or uses a thread_local.
//
// Where iokerneld gives an app's uthreads time slices (slice_us), a uthread can be stopped between any two instructions
// of the executable's own, and another one runs on the same pthread. Then that one waits for ever for a std::mutex that
// the first has locked, and finds thread_locals half changed. sluice::Mutex is safe; so is what libraries do inside of
// their own functions, malloc and stdio too, but not what they call back under a lock of theirs (std::call_once).
// Without slices the kthread as a whole may still be stopped at any instruction, and goes on there.
#pragma once

namespace sluice {

// While one lives, the calling thread is not interrupted: keep it to microseconds, and call nothing that blocks the
// uthread. Nests.
//
//   const sluice::NoPreempt guard;
//   const std::lock_guard lock(a_std_mutex);
class NoPreempt {
 public:
  NoPreempt();
  ~NoPreempt();
  NoPreempt(const NoPreempt&) = delete;
  NoPreempt& operator=(const NoPreempt&) = delete;
};

}  // namespace sluice
