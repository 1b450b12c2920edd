// timer.cc - the pairing heap, arming, cancelling and firing.
#include "runtime/sched/timer.h"

#include <sched.h>

#include "iokernel/abi/check.h"
#include "runtime/sched/kthread.h"

namespace sluice::sched {
namespace {

constexpr int kFirePerPoll = 64;  // so that a flood of timers does not keep packets waiting

}  // namespace

void Timer::Arm(Ticks when) {
  TimerHeap& heap = Current().timers();
  const detail::SpinGuard guard(heap.lock_);
  SLUICE_CHECK(state_.load(std::memory_order_relaxed) == State::kIdle, "a timer was armed twice");
  when_ = when;
  home_.store(&heap, std::memory_order_relaxed);
  state_.store(State::kArmed, std::memory_order_relaxed);
  heap.Insert(this);
  heap.PublishNext();
}

bool Timer::Cancel() {
  TimerHeap* heap = home_.load(std::memory_order_relaxed);
  // Acquire pairs with the release after the callback.
  if (heap == nullptr || state_.load(std::memory_order_acquire) == State::kIdle) return false;
  {
    const detail::SpinGuard guard(heap->lock_);
    if (state_.load(std::memory_order_relaxed) == State::kArmed) {
      heap->Remove(this);
      heap->PublishNext();
      state_.store(State::kIdle, std::memory_order_relaxed);
      return true;
    }
  }
  while (state_.load(std::memory_order_acquire) == State::kFiring) sched_yield();
  return false;
}

bool TimerHeap::RunDueSlowly(Ticks now) {
  bool any = false;
  for (int i = 0; i < kFirePerPoll; ++i) {
    Timer* due;
    {
      const detail::SpinGuard guard(lock_);
      due = root_;
      if (due == nullptr || due->when_ > now) break;
      Remove(due);
      PublishNext();
      due->state_.store(Timer::State::kFiring, std::memory_order_relaxed);
    }
    due->callback_(*due);
    // Release pairs with Cancel: from here on the timer may be gone.
    due->state_.store(Timer::State::kIdle, std::memory_order_release);
    any = true;
  }
  return any;
}

void TimerHeap::PublishNext() {
  const Ticks next = root_ == nullptr ? abi::kNoTimer : root_->when_;
  next_due_.store(next, std::memory_order_relaxed);
  published_->store(next, std::memory_order_relaxed);
}

// ---------------------------------------------------------------------------------------------------
// The pairing heap. A node's children are a list; the earlier of two roots becomes the parent of the other.

Timer* TimerHeap::Meld(Timer* a, Timer* b) {
  if (a == nullptr) return b;
  if (b == nullptr) return a;
  if (b->when_ < a->when_) std::swap(a, b);
  b->next_ = a->child_;
  if (b->next_ != nullptr) b->next_->previous_ = b;
  b->previous_ = a;
  a->child_ = b;
  return a;
}

// Melds a list of siblings two by two from the left, then all from the right.
Timer* TimerHeap::MeldSiblings(Timer* first) {
  Timer* pairs = nullptr;  // linked by next_, the last pair first
  while (first != nullptr) {
    Timer* a = first;
    Timer* b = a->next_;
    first = b == nullptr ? nullptr : b->next_;
    a->next_ = nullptr;
    if (b != nullptr) b->next_ = nullptr;
    Timer* pair = Meld(a, b);
    pair->next_ = pairs;
    pairs = pair;
  }
  Timer* root = nullptr;
  while (pairs != nullptr) {
    Timer* pair = pairs;
    pairs = pair->next_;
    pair->next_ = nullptr;
    root = Meld(root, pair);
  }
  return root;
}

void TimerHeap::Insert(Timer* timer) {
  timer->child_ = timer->next_ = timer->previous_ = nullptr;
  root_ = Meld(root_, timer);
}

void TimerHeap::Remove(Timer* timer) {
  if (timer == root_) {
    root_ = MeldSiblings(timer->child_);
  } else {
    (timer->previous_->child_ == timer ? timer->previous_->child_ : timer->previous_->next_) = timer->next_;
    if (timer->next_ != nullptr) timer->next_->previous_ = timer->previous_;
    root_ = Meld(root_, MeldSiblings(timer->child_));
  }
  if (root_ != nullptr) root_->previous_ = nullptr;
}

}  // namespace sluice::sched
