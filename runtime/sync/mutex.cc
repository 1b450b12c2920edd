// mutex.cc - the contended half of Mutex.
#include "sluice/sync.h"

namespace sluice {

// state_ and queue_ change together under queue_lock_, but for the fast paths' 0 -> kLocked and kLocked -> 0, which
// fail as soon as kWaiters is set. So a waiter that has set kWaiters while the lock was held is seen by its unlock.
void Mutex::LockSlowly() {
  for (bool lost = false;; lost = true) {
    queue_lock_.Lock();
    uint32_t state = state_.load(std::memory_order_relaxed);
    for (;;) {
      const bool free = (state & kLocked) == 0;
      const uint32_t wanted = free ? state | kLocked : state | kWaiters | (lost ? kHandOff : 0);
      if (!state_.compare_exchange_weak(state, wanted, std::memory_order_acquire, std::memory_order_relaxed)) continue;
      if (!free) break;
      queue_lock_.Unlock();
      return;
    }
    const detail::WakeReason reason = lost ? queue_.WaitInFront(queue_lock_) : queue_.Wait(queue_lock_);
    if (reason == detail::WakeReason::kHandedOver) return;
  }
}

void Mutex::UnlockSlowly() {
  queue_lock_.Lock();
  const bool hand_over = (state_.load(std::memory_order_relaxed) & kHandOff) != 0;
  detail::Waiter* woken = queue_.TakeOne(hand_over ? detail::WakeReason::kHandedOver : detail::WakeReason::kSignalled);
  // Release pairs with the acquire of whoever locks next; one to whom it is handed over has it from queue_lock_.
  state_.store((hand_over ? kLocked : 0) | (queue_.empty() ? 0 : kWaiters), std::memory_order_release);
  queue_lock_.Unlock();
  detail::Wake(woken);
}

}  // namespace sluice
