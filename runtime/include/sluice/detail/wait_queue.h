// wait_queue.h - a spin lock, and the queue of uthreads that wait for something under it. Not for applications:
// what sluice's own locks and sockets are made of.
//
// To wait: lock; look; if it is not there, Wait, which releases the lock once the uthread has left its stack, so
// that no wake is lost. To wake: lock; change; take waiters out; unlock; Wake them. The object may be gone as soon
// as one of them runs, so nothing of it is touched after that. Any thread may wake; only uthreads wait.
#pragma once

#include <atomic>
#include <cstdint>

namespace sluice {
class Mutex;
}

namespace sluice::detail {

// Held for a few instructions, with preemption off. Spins a little, then yields the CPU: its holder may be a plain
// pthread, or share the CPU. Locking order: a wait queue's lock, a timer heap's, an overflow list's.
class SpinLock {
 public:
  void Lock();
  [[nodiscard]] bool TryLock();
  void Unlock();

 private:
  void LockSlowly();

  std::atomic<bool> held_{false};
};

class SpinGuard {
 public:
  explicit SpinGuard(SpinLock& lock) : lock_(lock) { lock_.Lock(); }
  ~SpinGuard() { lock_.Unlock(); }
  SpinGuard(const SpinGuard&) = delete;
  SpinGuard& operator=(const SpinGuard&) = delete;

 private:
  SpinLock& lock_;
};

enum class WakeReason : uint8_t {
  kSignalled,
  kTimedOut,
  kGone,        // the IOKernel has gone
  kHandedOver,  // a Mutex: and it is yours
};

struct Waiter;

// Makes waiters runnable that were taken out of a queue (null: none). No lock is held.
void Wake(Waiter* waiters);

inline constexpr uint64_t kNoDeadline = ~uint64_t{0};

// Every member is called with the owner's lock held, but for empty().
class WaitQueue {
 public:
  constexpr WaitQueue() = default;
  WaitQueue(const WaitQueue&) = delete;
  WaitQueue& operator=(const WaitQueue&) = delete;

  [[nodiscard]] bool empty() const { return first_.load(std::memory_order_relaxed) == nullptr; }

  // Blocks the calling uthread until it is woken or `deadline` (TSC ticks) has passed; releases `lock` and returns
  // without it. Preemption was on before the lock was taken. `mutex` is unlocked once the caller is in the queue, and
  // locked again on return.
  WakeReason Wait(SpinLock& lock, uint64_t deadline = kNoDeadline, Mutex* mutex = nullptr);
  // The same, ahead of those who wait already.
  WakeReason WaitInFront(SpinLock& lock);

  // Take out who has waited longest, or everybody.
  [[nodiscard]] Waiter* TakeOne(WakeReason reason = WakeReason::kSignalled);
  [[nodiscard]] Waiter* TakeAll(WakeReason reason = WakeReason::kSignalled);

 private:
  friend struct TimedWaiter;
  void Append(Waiter* waiter);
  void Remove(Waiter* waiter);

  std::atomic<Waiter*> first_{nullptr};  // atomic only for empty() without the lock
  Waiter* last_ = nullptr;
};

}  // namespace sluice::detail
