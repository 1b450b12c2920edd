// kthread.h - a pthread that runs uthreads while it holds a core. Its loop is in kthread.cc.
//
// Threads: the kthread itself, with preemption off, except where a member says otherwise. Stealing reaches into
// another kthread only through its run queue, its softirq flag and its timer heap.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>

#include "iokernel/abi/region.h"
#include "runtime/io/region_view.h"
#include "runtime/sched/preempt.h"
#include "runtime/sched/run_queue.h"
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
  [[nodiscard]] Uthread* running() const { return running_; }
  // Puts a uthread at the end of the run queue.
  void PushReady(Uthread* uthread) { run_queue_.Push(uthread, now_); }
  // What the running uthread may switch to directly; null: the loop has something to do, or nothing is runnable.
  Uthread* NextDirectly() {
    if (--budget_ <= 0 || io_.grant.CedeRequested()) [[unlikely]]
      return nullptr;
    return run_queue_.Pop();
  }
  // True if it is time for the loop, whatever is runnable.
  [[nodiscard]] bool LoopIsDue() const { return budget_ <= 0 || io_.grant.CedeRequested(); }
  // Leaves the stack of `from` for that of `next`, or for the loop if null.
  void Switch(Execution& from, Uthread* next, arch::Aftermath aftermath, bool last = false);
  // The first thing on a stack that is switched to.
  static void Arrive(Execution& self, arch::Aftermath aftermath);

  [[nodiscard]] StackCache& stacks() { return stacks_; }
  [[nodiscard]] TimerHeap& timers() { return timers_; }

  // -- any thread --
  [[nodiscard]] pid_t tid() const { return tid_.load(std::memory_order_acquire); }
  // Asleep until a grant comes: to be woken when none will come.
  [[nodiscard]] bool sleeps() const { return sleeps_.load(std::memory_order_seq_cst); }
  [[nodiscard]] std::atomic<uint32_t>& generation_word() { return io_.block->grant.generation; }

  // In the cede signal's handler, on whatever stack it interrupted.
  void OnCedeSignal();

 private:
  // kthread.cc
  void Loop();
  bool Poll();
  void RunGoneHooks();
  bool TakeInbox();

  // softirq.cc
  bool Softirq(Kthread& executing);
  [[nodiscard]] bool PacketsWait() const;
  [[nodiscard]] bool TrySoftirqFlag();
  void ReleaseSoftirqFlag();

  // steal.cc
  bool Steal();
  bool StealFrom(Kthread& victim);

  // park.cc
  void Idle();
  void Cede();
  void Park(uint32_t kick_seen, uint32_t flags);
  bool SleepForGrant(const std::atomic<uint32_t>& word, uint32_t value);
  void SleepUnmanaged();
  [[nodiscard]] bool WorkWaits() const;

  // The owner's, hot.
  io::KthreadIo io_;
  Uthread* running_ = nullptr;
  int32_t budget_ = 0;       // switches until the next poll
  int32_t budget_full_ = 1;  // so that a poll comes about every kPollInterval
  int* errno_location_ = nullptr;
  ExceptionState* exceptions_ = nullptr;  // this pthread's __cxa_eh_globals
  Ticks now_ = 0;
  Ticks last_work_ = 0;
  uint64_t busy_ = 0;
  bool worked_ = false;  // since the last poll
  bool managed_ = true;  // by an IOKernel
  uint32_t victim_ = 0;  // where stealing begins
  StackCache stacks_;
  Execution loop_;
  Scheduler& scheduler_;
  const uint32_t index_;

  // Shared with thieves and others.
  alignas(64) std::atomic<bool> softirq_flag_{false};
  std::atomic<uint32_t> rx_taken_{0};  // io_.rx.received(), written by who holds the flag
  std::atomic<pid_t> tid_{0};
  std::atomic<bool> sleeps_{false};
  TimerHeap timers_;
  RunQueue run_queue_;
};

// The kthread that runs the caller, which has turned preemption off.
inline Kthread& Current() { return *arch::CurrentKthread(); }

}  // namespace sluice::sched
