// wait_queue.cc - waiting with and without a deadline.
#include "sluice/detail/wait_queue.h"

#include <utility>

#include "iokernel/abi/check.h"
#include "runtime/sched/switch.h"
#include "runtime/sched/timer.h"
#include "sluice/sync.h"

namespace sluice::detail {

// On the stack of the uthread that waits. Guarded by the queue's lock until it is taken out.
struct Waiter {
  sched::Uthread* uthread;
  Waiter* next = nullptr;
  Waiter* previous = nullptr;
  WakeReason reason = WakeReason::kSignalled;
  bool queued = true;
};

struct TimedWaiter : Waiter {
  TimedWaiter(sched::Uthread* self, WaitQueue& queue, SpinLock& lock)
      : Waiter{self}, queue(queue), lock(lock), timer(OnTimer, this) {}

  static void OnTimer(sched::Timer& timer) {
    auto& waiter = *static_cast<TimedWaiter*>(timer.arg());
    waiter.lock.Lock();
    const bool late = waiter.queued;
    if (late) {
      waiter.queue.Remove(&waiter);
      waiter.reason = WakeReason::kTimedOut;
    }
    waiter.lock.Unlock();
    if (late) sched::MakeReady(waiter.uthread);
  }

  WaitQueue& queue;
  SpinLock& lock;
  sched::Timer timer;
};

namespace {

// The waiter is off its stack: whoever holds the lock next may make it runnable. The preemption depth that the lock
// took stays with the stack that was left, and is given back there.
void ReleaseAfterwards(sched::Kthread&, void* lock) {
  sched::PreemptDisable();
  static_cast<SpinLock*>(lock)->Unlock();
}

// Leaves the stack; the waiter is in its queue, whose lock is held. `mutex` is unlocked, or given to the uthread that
// runs next if that is about to lock it: of two uthreads that signal each other in turn neither touches it then.
void Block(sched::Uthread& self, SpinLock& lock, Mutex* mutex) {
  SLUICE_CHECK(sched::PreemptDepth() == 1, "a uthread waits while it holds a second lock or a preempt guard");
  sched::Kthread& kthread = sched::Current();
  sched::Uthread* next = kthread.Next();
  if (mutex != nullptr) {
    self.relocks = mutex;
    if (next != nullptr && next->relocks == mutex && mutex->NobodyWaits()) {
      next->relocks = nullptr;
    } else {
      mutex->unlock();
    }
  }
  kthread.Switch(self, next, {ReleaseAfterwards, &lock});
  sched::PreemptEnable();
  if (self.relocks != nullptr) std::exchange(self.relocks, nullptr)->lock();
}

}  // namespace

WakeReason WaitQueue::Wait(SpinLock& lock, uint64_t deadline, Mutex* mutex) {
  sched::Uthread& self = sched::Self();
  if (deadline == kNoDeadline) {
    Waiter waiter{&self};
    Append(&waiter);
    Block(self, lock, mutex);
    return waiter.reason;
  }
  TimedWaiter waiter(&self, *this, lock);
  Append(&waiter);
  // It may fire at once, on another kthread: its callback then waits for the lock, that is, for the switch.
  waiter.timer.Arm(deadline);
  Block(self, lock, mutex);
  waiter.timer.Cancel();
  return waiter.reason;
}

WakeReason WaitQueue::WaitInFront(SpinLock& lock) {
  sched::Uthread& self = sched::Self();
  Waiter waiter{&self};
  waiter.next = first_.load(std::memory_order_relaxed);
  (waiter.next == nullptr ? last_ : waiter.next->previous) = &waiter;
  first_.store(&waiter, std::memory_order_relaxed);
  Block(self, lock, nullptr);
  return waiter.reason;
}

Waiter* WaitQueue::TakeOne(WakeReason reason) {
  Waiter* waiter = first_.load(std::memory_order_relaxed);
  if (waiter == nullptr) return nullptr;
  Remove(waiter);
  waiter->reason = reason;
  return waiter;
}

Waiter* WaitQueue::TakeAll(WakeReason reason) {
  Waiter* all = first_.load(std::memory_order_relaxed);
  for (Waiter* waiter = all; waiter != nullptr; waiter = waiter->next) {
    waiter->reason = reason;
    waiter->queued = false;
  }
  first_.store(nullptr, std::memory_order_relaxed);
  last_ = nullptr;
  return all;
}

void WaitQueue::Append(Waiter* waiter) {
  waiter->previous = last_;
  if (last_ == nullptr) {
    first_.store(waiter, std::memory_order_relaxed);
  } else {
    last_->next = waiter;
  }
  last_ = waiter;
}

void WaitQueue::Remove(Waiter* waiter) {
  if (waiter->previous == nullptr) {
    first_.store(waiter->next, std::memory_order_relaxed);
  } else {
    waiter->previous->next = waiter->next;
  }
  (waiter->next == nullptr ? last_ : waiter->next->previous) = waiter->previous;
  waiter->next = waiter->previous = nullptr;
  waiter->queued = false;
}

void Wake(Waiter* waiters) {
  while (waiters != nullptr) {
    Waiter* next = waiters->next;  // the waiter is gone once its uthread runs
    sched::MakeReady(waiters->uthread);
    waiters = next;
  }
}

}  // namespace sluice::detail
