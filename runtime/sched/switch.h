// switch.h - how a uthread stops running, and how it becomes runnable again.
//
// Every switch happens with preemption off at depth one, and brings an aftermath: what the next stack must do for
// the one that was left. A uthread is visible to others (in a run queue, a wait queue, a join word) only once its
// registers are saved, so whoever finds it may run it.
#pragma once

#include "iokernel/abi/check.h"
#include "runtime/sched/kthread.h"
#include "runtime/sched/uthread.h"

namespace sluice::sched {

// The calling uthread; preemption is off.
inline Uthread& Self() {
  Kthread* kthread = arch::CurrentKthread();
  SLUICE_CHECK(kthread != nullptr && kthread->running() != nullptr, "a call that may block, outside of a uthread");
  return *kthread->running();
}

// Stops the calling uthread until it is made runnable. On entry and on return preemption is off, at depth one; the
// kthread may be another one then.
void SwitchAway(arch::Aftermath aftermath);

// Any thread. On a kthread: to the end of its own run queue. On a plain pthread: through the inbox.
void MakeReady(Uthread* uthread);

}  // namespace sluice::sched
