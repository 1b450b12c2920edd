// kthread.h - a pthread that runs uthreads while it holds a core. Its loop is in kthread.cc.
//
// Threads: the kthread itself, with preemption off, except where a member says otherwise. Stealing reaches into
// another kthread only through its run queue, its softirq flag and its timer heap.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <atomic>
#include <cstdint>

#include "iokernel/abi/region.h"
#include "runtime/io/region_view.h"
#include "runtime/sched/parker.h"
#include "runtime/sched/preempt.h"
#include "runtime/sched/run_queue.h"
#include "runtime/sched/slice.h"
#include "runtime/sched/stack_pool.h"
#include "runtime/sched/timer.h"
#include "runtime/sched/uthread.h"

namespace sluice::sched {

struct Scheduler;

class alignas(64) Kthread {
 public:
  Kthread(Scheduler& scheduler, uint32_t index);
  Kthread(const Kthread&) = delete;
  Kthread& operator=(const Kthread&) = delete;

  // The pthread's whole life.
  void Main();

  [[nodiscard]] uint32_t index() const { return index_; }
  // Its rings and lines. `tx` and `fill` may be used; `rx` belongs to the softirq.
  [[nodiscard]] io::KthreadIo& io() { return io_; }
  [[nodiscard]] abi::RuntimeCounters& counters() { return io_.block->counters; }
  // When the kthread last looked at the clock: at the last poll, a few microseconds ago.
  [[nodiscard]] Ticks now() const { return now_; }

  // -- switching (switch.cc) --
  // The uthread that runs here; null: the loop does.
  [[nodiscard]] Uthread* running() const { return running_; }
  // Puts a uthread at the end of the run queue.
  void PushReady(Uthread* uthread) { run_queue_.Push(uthread, now_); }
  // The oldest runnable uthread; null: none.
  Uthread* PopReady() { return run_queue_.Pop(); }
  [[nodiscard]] bool CedeRequested() const { return io_.grant.CedeRequested(); }
  // True if uthreads may go on switching among themselves; false: the loop is due, whatever is runnable.
  [[nodiscard]] bool MaySwitchDirectly() { return --budget_ > 0 && !CedeRequested(); }
  // The uthread to switch to; null: the loop.
  [[nodiscard]] Uthread* Next() { return MaySwitchDirectly() ? PopReady() : nullptr; }
  // Leaves the stack of `from` for that of `next`, or the loop's if null. `last`: for ever.
  void Switch(Execution& from, Uthread* next, arch::Aftermath aftermath, bool last = false);
  // The first thing on a stack that was switched to.
  static void Arrive(Execution& self, arch::Aftermath aftermath);
  // Aftermath of a switch to the loop by a uthread that stays runnable.
  static void EndTurn(Kthread& kthread, void* uthread);

  // -- time slices (slice.cc) --
  [[nodiscard]] bool SliceOver() const;
  void CountSlice();

  [[nodiscard]] StackCache& stacks() { return stacks_; }
  [[nodiscard]] TimerHeap& timers() { return timers_; }

  // -- any thread --
  [[nodiscard]] pid_t tid() const { return tid_.load(std::memory_order_acquire); }
  // Asleep until a grant comes: to be woken when none will come.
  [[nodiscard]] bool sleeps() const { return sleeps_.load(std::memory_order_seq_cst); }
  void WakeInVain() { parker_.Wake(io_.block->grant.generation); }

  // In the cede signal's handler, on whatever stack it interrupted.
  void OnCedeSignal();
  void OnSliceSignal(const ucontext_t& frame);

 private:
  // kthread.cc
  void Loop();
  void Resume(Uthread* next);
  bool Poll();
  void Account(Ticks now);
  bool TakeInbox();
  void NoticeGone();
  [[nodiscard]] bool Stopping() const;

  // slice.cc
  [[nodiscard]] bool OthersWait() const;
  [[nodiscard]] Uthread* PopOldest();
  static void SetAside(Kthread& kthread, void* uthread);
  void PublishSetAside(int32_t change);

  // softirq.cc
  bool Softirq(Kthread& executing);
  [[nodiscard]] bool PacketsWait() const;
  [[nodiscard]] bool TakeSoftirqFlag();
  void ReleaseSoftirqFlag();

  // steal.cc
  bool Steal();
  bool StealFromParked();
  bool StealFrom(Kthread& victim);

  // park.cc
  void AwaitGrant();
  void Idle();
  void Cede();
  void Park(uint32_t flags);
  void GiveBackForGood();
  [[nodiscard]] bool SleepForGrant(const std::atomic<uint32_t>& word, uint32_t value);
  void SleepUnmanaged();

  // The kthread's own.
  io::KthreadIo io_;
  Uthread* running_ = nullptr;
  int32_t budget_ = 0;                    // switches until the next poll
  int32_t budget_full_ = 1;               // so many that a poll comes about every Scheduler::poll_interval
  int* errno_location_ = nullptr;         // this pthread's errno
  ExceptionState* exceptions_ = nullptr;  // this pthread's __cxa_eh_globals
  Ticks now_ = 0;                         // of the last poll
  Ticks idle_since_ = 0;
  uint64_t busy_ = 0;  // ticks
  uint64_t runs_ = 0;  // switches into uthreads
  uint32_t kick_seen_ = 0;
  uint32_t victim_ = 0;  // where stealing went on last
  uint32_t parked_ = 0;  // where StealFromParked looked last
  bool worked_ = false;  // since the last poll
  bool managed_ = true;  // by an IOKernel
  SetAsideList set_aside_;
  sigset_t signal_mask_{};  // of this pthread
  StackCache stacks_;
  Execution loop_;
  Scheduler& scheduler_;
  const uint32_t index_;
  const abi::LrpcSlot* const rx_ring_;
  const uint32_t rx_slots_;

  // Shared with thieves and others.
  alignas(64) std::atomic<bool> softirq_flag_{false};
  std::atomic<uint32_t> rx_taken_{0};  // io_.rx.received(), written by whoever holds the flag
  std::atomic<pid_t> tid_{0};
  std::atomic<bool> sleeps_{false};
  Parker parker_;
  TimerHeap timers_;
  RunQueue run_queue_;
};

// The kthread that runs the caller, which has turned preemption off.
inline Kthread& Current() { return *arch::CurrentKthread(); }

// ---------------------------------------------------------------------------------------------------

// The stack may have come to another kthread since it was left.
[[gnu::always_inline]] inline void Kthread::Arrive(Execution& self, arch::Aftermath aftermath) {
  AfterSwitch(self.fiber);
  Kthread& kthread = Current();
  *kthread.errno_location_ = self.saved_errno;
  *kthread.exceptions_ = self.exceptions;
  if (aftermath.run != nullptr) aftermath.run(kthread, aftermath.arg);
}

}  // namespace sluice::sched
