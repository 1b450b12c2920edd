// inbox.h - uthreads that plain pthreads have made runnable; any kthread takes them all at once.
//
// A stack of which only everything can be taken has no ABA. The pusher raises the app's kick word afterwards, and a
// kthread reads that word before it looks here for the last time (kthread_park.cc): so none is left behind.
#pragma once

#include <atomic>

#include "runtime/sched/uthread.h"

namespace sluice::sched {

class Inbox {
 public:
  // Any thread.
  void Push(Uthread* uthread) {
    uthread->next = newest_.load(std::memory_order_relaxed);
    // Release pairs with TakeAll.
    while (
        !newest_.compare_exchange_weak(uthread->next, uthread, std::memory_order_release, std::memory_order_relaxed)) {
    }
  }

  // Relaxed will do: whoever may sleep on the answer has read the kick word with acquire.
  [[nodiscard]] bool empty() const { return newest_.load(std::memory_order_relaxed) == nullptr; }

  // A chain linked by `next`, oldest first; null: empty.
  Uthread* TakeAll() {
    Uthread* newest = newest_.exchange(nullptr, std::memory_order_acquire);
    Uthread* oldest_first = nullptr;
    while (newest != nullptr) {
      Uthread* older = newest->next;
      newest->next = oldest_first;
      oldest_first = newest;
      newest = older;
    }
    return oldest_first;
  }

 private:
  alignas(64) std::atomic<Uthread*> newest_{nullptr};
};

}  // namespace sluice::sched
