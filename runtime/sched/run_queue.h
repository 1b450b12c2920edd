// run_queue.h - the runnable uthreads of one kthread, first in, first out.
//
// A ring of 256 slots, and an overflow list behind it for what does not fit. The owner pushes without and pops with
// one locked operation; a thief takes up to half of the ring by one compare-and-swap of the head.
//
// Threads: Push and Pop by the owner, preemption off; Steal by any other kthread; the rest by any.
//
// Invariants
//  1. a slot between head and tail is written by nobody; the owner writes at the tail, after it has seen the head
//     move past that slot.
//  2. while the overflow list holds something, pushes go there: so the order is that of the pushes.
//  3. the signal line's rq_tail and rq_head count pushes and takes; what races there is put right by Publish.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>

#include "iokernel/abi/grant.h"
#include "runtime/sched/uthread.h"
#include "sluice/detail/wait_queue.h"

namespace sluice::sched {

using abi::Ticks;

class RunQueue {
 public:
  static constexpr uint32_t kSlots = 256;

  explicit RunQueue(abi::SignalLine* line) : line_(line) {}

  // `now`: the time from which it waits, to within a few microseconds.
  void Push(Uthread* uthread, Ticks now);
  Uthread* Pop();  // null: empty

  // Takes up to half of what waits, oldest first; returns how many. 0 also if somebody else was faster.
  uint32_t Steal(std::span<Uthread*> out);

  [[nodiscard]] bool LooksEmpty() const {
    return head_.load(std::memory_order_relaxed) == tail_.load(std::memory_order_relaxed) &&
           overflow_size_.load(std::memory_order_relaxed) == 0;
  }

  // Owner: since when the oldest has waited; all ticks there are if there is none.
  [[nodiscard]] Ticks OldestSince() const;
  // Owner: a uthread runs that was not in here. For the IOKernel every turn moves the head.
  void CountTurn();
  // Owner: writes the counts and the age of the oldest uthread to the signal line.
  void Publish();

 private:
  static constexpr uint32_t kMask = kSlots - 1;
  struct Slot {
    std::atomic<Uthread*> uthread{nullptr};
    std::atomic<Ticks> since{0};
  };

  void PushOverflow(Uthread* uthread, Ticks now);
  Uthread* PopOverflow();
  uint32_t StealOverflow(std::span<Uthread*> out);
  [[nodiscard]] uint32_t Taken(uint32_t head) const { return head + beside_ring_.load(std::memory_order_relaxed); }

  abi::SignalLine* line_;
  uint32_t made_ = 0;  // pushes ever
  alignas(64) std::atomic<uint32_t> head_{0};
  alignas(64) std::atomic<uint32_t> tail_{0};
  std::atomic<uint32_t> overflow_size_{0};  // written under overflow_lock_
  std::atomic<uint32_t> beside_ring_{0};    // takes that did not move head_; written under overflow_lock_
  detail::SpinLock overflow_lock_;
  Uthread* overflow_first_ = nullptr;
  Uthread* overflow_last_ = nullptr;
  Slot slots_[kSlots];
};

// ---------------------------------------------------------------------------------------------------

inline void RunQueue::Push(Uthread* uthread, Ticks now) {
  line_->rq_tail.store(++made_, std::memory_order_relaxed);
  const uint32_t tail = tail_.load(std::memory_order_relaxed);
  // Acquire pairs with the release in Steal: the thief has read the slot that is about to be written.
  if (tail - head_.load(std::memory_order_acquire) >= kSlots || overflow_size_.load(std::memory_order_relaxed) != 0)
      [[unlikely]] {
    PushOverflow(uthread, now);
    return;
  }
  slots_[tail & kMask].uthread.store(uthread, std::memory_order_relaxed);
  slots_[tail & kMask].since.store(now, std::memory_order_relaxed);
  // Release pairs with the acquire in Steal: the slot, and the uthread's saved context.
  tail_.store(tail + 1, std::memory_order_release);
}

inline Uthread* RunQueue::Pop() {
  uint32_t head = head_.load(std::memory_order_relaxed);
  const uint32_t tail = tail_.load(std::memory_order_relaxed);
  while (head != tail) {
    Uthread* uthread = slots_[head & kMask].uthread.load(std::memory_order_relaxed);
    if (head_.compare_exchange_weak(head, head + 1, std::memory_order_relaxed, std::memory_order_relaxed)) {
      line_->rq_head.store(Taken(head + 1), std::memory_order_relaxed);
      return uthread;
    }
  }
  return overflow_size_.load(std::memory_order_relaxed) == 0 ? nullptr : PopOverflow();
}

}  // namespace sluice::sched
