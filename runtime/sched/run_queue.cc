// run_queue.cc - the overflow list, stealing, and what the IOKernel gets to see.
#include "runtime/sched/run_queue.h"

#include <algorithm>

namespace sluice::sched {

void RunQueue::PushOverflow(Uthread* uthread, Ticks now) {
  const detail::SpinGuard guard(overflow_lock_);
  uthread->next = nullptr;
  uthread->ready_since = now;
  (overflow_first_ == nullptr ? overflow_first_ : overflow_last_->next) = uthread;
  overflow_last_ = uthread;
  overflow_size_.store(overflow_size_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

// The ring is empty: moves as much as fits from the overflow list into it.
Uthread* RunQueue::PopOverflow() {
  {
    const detail::SpinGuard guard(overflow_lock_);
    uint32_t tail = tail_.load(std::memory_order_relaxed);
    const uint32_t head = head_.load(std::memory_order_acquire);
    const uint32_t count = std::min(overflow_size_.load(std::memory_order_relaxed), kSlots - (tail - head));
    for (uint32_t i = 0; i < count; ++i, ++tail) {
      slots_[tail & kMask].uthread.store(overflow_first_, std::memory_order_relaxed);
      slots_[tail & kMask].since.store(overflow_first_->ready_since, std::memory_order_relaxed);
      overflow_first_ = overflow_first_->next;
    }
    overflow_size_.store(overflow_size_.load(std::memory_order_relaxed) - count, std::memory_order_relaxed);
    tail_.store(tail, std::memory_order_release);
    if (count == 0) return nullptr;
  }
  return Pop();
}

uint32_t RunQueue::Steal(std::span<Uthread*> out) {
  // Acquire pairs with another thief's release; the tail's with the owner's push.
  uint32_t head = head_.load(std::memory_order_acquire);
  const uint32_t waiting = tail_.load(std::memory_order_acquire) - head;
  if (waiting == 0) return overflow_size_.load(std::memory_order_relaxed) == 0 ? 0 : StealOverflow(out);
  if (waiting > kSlots) return 0;  // the head has moved meanwhile
  const uint32_t count = std::min<uint32_t>(waiting - waiting / 2, out.size());
  for (uint32_t i = 0; i < count; ++i) out[i] = slots_[(head + i) & kMask].uthread.load(std::memory_order_relaxed);
  // If the head is still there, no slot was written since: what was read is ours.
  if (!head_.compare_exchange_strong(head, head + count, std::memory_order_acq_rel, std::memory_order_relaxed))
    return 0;
  line_->rq_head.store(Taken(head + count), std::memory_order_relaxed);
  return count;
}

uint32_t RunQueue::StealOverflow(std::span<Uthread*> out) {
  if (!overflow_lock_.TryLock()) return 0;
  const uint32_t size = overflow_size_.load(std::memory_order_relaxed);
  const uint32_t count = std::min<uint32_t>(size - size / 2, out.size());
  for (uint32_t i = 0; i < count; ++i) {
    out[i] = overflow_first_;
    overflow_first_ = overflow_first_->next;
  }
  overflow_size_.store(size - count, std::memory_order_relaxed);
  beside_ring_.store(beside_ring_.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
  line_->rq_head.store(Taken(head_.load(std::memory_order_relaxed)), std::memory_order_relaxed);
  overflow_lock_.Unlock();
  return count;
}

Ticks RunQueue::OldestSince() const {
  const uint32_t head = head_.load(std::memory_order_relaxed);
  // With an empty ring the overflow list may hold some: they are due next, whatever their age.
  if (head == tail_.load(std::memory_order_relaxed)) return LooksEmpty() ? ~Ticks{0} : 0;
  return slots_[head & kMask].since.load(std::memory_order_relaxed);
}

void RunQueue::CountTurn() {
  const detail::SpinGuard guard(overflow_lock_);
  line_->rq_tail.store(++made_, std::memory_order_relaxed);
  beside_ring_.store(beside_ring_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  line_->rq_head.store(Taken(head_.load(std::memory_order_relaxed)), std::memory_order_relaxed);
}

void RunQueue::Publish() {
  const uint32_t head = head_.load(std::memory_order_relaxed);
  const bool empty = head == tail_.load(std::memory_order_relaxed);
  line_->rq_head.store(Taken(head), std::memory_order_relaxed);
  line_->oldest_ready.store(empty ? 0 : slots_[head & kMask].since.load(std::memory_order_relaxed),
                            std::memory_order_relaxed);
}

}  // namespace sluice::sched
