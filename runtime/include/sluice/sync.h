// sync.h - locks and signals between uthreads.
//
// What may block is for uthreads only. What never blocks may be called by any thread of the process: a plain pthread
// wakes a uthread through the runtime's inbox. Those calls say "any thread".
// All are fair in the order of arrival, except that a running uthread may take a free Mutex before one that is just
// being woken; a uthread that lost it that way once is given it the next time.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>

#include "sluice/detail/wait_queue.h"
#include "sluice/time.h"

namespace sluice {

// Meets the standard's Lockable: use it with std::lock_guard and std::unique_lock.
class Mutex {
 public:
  constexpr Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void lock() {
    uint32_t unlocked = 0;
    // Acquire pairs with the release in unlock().
    if (!state_.compare_exchange_strong(unlocked, kLocked, std::memory_order_acquire, std::memory_order_relaxed))
        [[unlikely]] {
      LockSlowly();
    }
  }
  [[nodiscard]] bool try_lock() {
    uint32_t state = state_.load(std::memory_order_relaxed);
    return (state & kLocked) == 0 &&
           state_.compare_exchange_strong(state, state | kLocked, std::memory_order_acquire, std::memory_order_relaxed);
  }
  // By the uthread that locked it.
  void unlock() {
    uint32_t locked = kLocked;
    if (!state_.compare_exchange_strong(locked, 0, std::memory_order_release, std::memory_order_relaxed)) [[unlikely]] {
      UnlockSlowly();
    }
  }

  // A hint, for the runtime.
  [[nodiscard]] bool NobodyWaits() const { return (state_.load(std::memory_order_relaxed) & kWaiters) == 0; }

 private:
  static constexpr uint32_t kLocked = 1;
  static constexpr uint32_t kWaiters = 2;  // the queue is not empty: unlock must look; changed under queue_lock_
  static constexpr uint32_t kHandOff = 4;  // the first waiter has lost once: unlock gives it the lock

  void LockSlowly();
  void UnlockSlowly();

  std::atomic<uint32_t> state_{0};
  detail::SpinLock queue_lock_;
  detail::WaitQueue queue_;
};

class CondVar {
 public:
  // Releases `mutex`, waits for a signal, takes `mutex` again. There are no spurious wakes, yet what was signalled
  // may be gone when the mutex is back: wait in a loop.
  void Wait(Mutex& mutex);
  // False: `when` passed before a signal came.
  bool WaitUntil(Mutex& mutex, Clock::time_point when);
  bool WaitFor(Mutex& mutex, std::chrono::nanoseconds timeout) { return WaitUntil(mutex, Clock::After(timeout)); }

  // Any thread. Signal after the change was made under the mutex.
  void Signal() {
    if (!queue_.empty()) WakeOne();
  }
  void Broadcast() {
    if (!queue_.empty()) WakeAll();
  }

 private:
  void WakeOne();
  void WakeAll();

  detail::SpinLock lock_;
  detail::WaitQueue queue_;
};

class Semaphore {
 public:
  explicit Semaphore(uint32_t count = 0) : count_(count) {}

  void Acquire();
  [[nodiscard]] bool TryAcquire();
  // False: `when` passed first.
  bool AcquireUntil(Clock::time_point when);
  bool AcquireFor(std::chrono::nanoseconds timeout) { return AcquireUntil(Clock::After(timeout)); }

  // Any thread.
  void Post(uint32_t count = 1);

 private:
  detail::SpinLock lock_;
  uint32_t count_;
  detail::WaitQueue queue_;
};

// Waits for a number of things to be done. Add before whoever calls Done can have started.
class WaitGroup {
 public:
  explicit WaitGroup(uint32_t count = 0) : pending_(count) {}

  void Add(uint32_t count = 1);  // any thread
  void Done();                   // any thread
  void Wait();

 private:
  detail::SpinLock lock_;
  uint32_t pending_;
  detail::WaitQueue queue_;
};

}  // namespace sluice
