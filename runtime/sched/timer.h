// timer.h - timers, and the heap of them that each kthread has.
//
// A timer is armed on the current kthread's heap and stays there. It fires in softirq context: on that kthread, or on
// one that found it overdue. Timers are intrusive (a pairing heap), so arming allocates nothing.
//
// Threads: Arm by a kthread, with preemption off; Cancel by any kthread or uthread.
#pragma once

#include <atomic>
#include <cstdint>

#include "iokernel/abi/clock.h"
#include "iokernel/abi/grant.h"
#include "sluice/detail/wait_queue.h"

namespace sluice::sched {

using abi::Ticks;

class TimerHeap;

class Timer {
 public:
  // May wake and spawn. May not arm or destroy this timer, or touch it after waking its owner.
  using Callback = void (*)(Timer& timer);

  explicit Timer(Callback callback, void* arg = nullptr) : callback_(callback), arg_(arg) {}
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // On the current kthread; preemption is off. Precondition: not armed.
  void Arm(Ticks when);

  // True: it will not fire. False: it has fired, and its callback has returned, or it was not armed. Never called
  // while holding a lock that the callback takes.
  bool Cancel();

  [[nodiscard]] void* arg() const { return arg_; }

 private:
  friend class TimerHeap;
  enum class State : uint8_t { kIdle, kArmed, kFiring };

  Callback callback_;
  void* arg_;
  Ticks when_ = 0;
  std::atomic<TimerHeap*> home_{nullptr};
  std::atomic<State> state_{State::kIdle};  // kIdle again with release, after the callback
  // Pairing heap: first child, next sibling, and the previous sibling or else the parent.
  Timer* child_ = nullptr;
  Timer* next_ = nullptr;
  Timer* previous_ = nullptr;
};

class TimerHeap {
 public:
  // `published`: the signal line's next_timer, kept equal to next_due().
  explicit TimerHeap(std::atomic<uint64_t>* published) : published_(published) {
    published_->store(abi::kNoTimer, std::memory_order_relaxed);
  }

  // When the next timer is due, or abi::kNoTimer. Any thread; may be a little old.
  [[nodiscard]] Ticks next_due() const { return next_due_.load(std::memory_order_relaxed); }

  // Runs what is due at `now`, by any kthread, in softirq context. True if anything was.
  bool RunDue(Ticks now) { return next_due() <= now && RunDueSlowly(now); }

 private:
  friend class Timer;
  bool RunDueSlowly(Ticks now);
  void Insert(Timer* timer);
  void Remove(Timer* timer);
  void PublishNext();
  static Timer* Meld(Timer* a, Timer* b);
  static Timer* MeldSiblings(Timer* first);

  detail::SpinLock lock_;
  Timer* root_ = nullptr;
  std::atomic<Ticks> next_due_{abi::kNoTimer};
  std::atomic<uint64_t>* published_;
};

}  // namespace sluice::sched
