// slice.h - time slices: where a uthread may be set aside, and the list of those that were.
//
// At the end of a slice the uthread is left in the signal's handler: its registers, vector and floating state included,
// are in the signal frame on its own stack. It goes on here and nowhere else, for the frame restores this pthread's
// signal mask, and what it was in the middle of may have this pthread's thread_locals in registers.
//
// It may be set aside only where nobody waits for what it holds: on its own stack, preemption on, outside of a static
// variable's initializer, and with the program counter in the executable's own text, so never inside of malloc,
// stdio, the unwinder or the dynamic linker. Elsewhere the signal leaves its note (preempt.h).
#pragma once

#include <signal.h>

#include <cstdint>

#include "iokernel/abi/clock.h"
#include "runtime/sched/uthread.h"

namespace sluice::sched {

using abi::Ticks;

// Instructions of the executable. Shared libraries do not count, whoever wrote them.
[[nodiscard]] bool InOwnText(uintptr_t program_counter);

// Null if uthreads of this process can be set aside at any instruction of its own; else why not.
[[nodiscard]] const char* WhyNeverSliced();

// The uthreads that one kthread has set aside, first in, first out. Nobody else looks at it.
class SetAsideList {
 public:
  [[nodiscard]] bool empty() const { return first_ == nullptr; }
  // Since when the oldest has waited. Precondition: not empty.
  [[nodiscard]] Ticks since() const { return first_->ready_since; }

  void Push(Uthread* uthread, Ticks now) {
    uthread->next = nullptr;
    uthread->ready_since = now;
    (first_ == nullptr ? first_ : last_->next) = uthread;
    last_ = uthread;
  }
  // Precondition: not empty.
  Uthread* Pop() {
    Uthread* uthread = first_;
    first_ = uthread->next;
    return uthread;
  }

 private:
  Uthread* first_ = nullptr;
  Uthread* last_ = nullptr;
};

}  // namespace sluice::sched
