// scheduler_state.h - what the kthreads of this process share. Constant while they run, atomics excepted.
#pragma once

#include <pthread.h>

#include <array>
#include <atomic>
#include <memory>
#include <vector>

#include "runtime/sched/blocking_pool.h"
#include "runtime/sched/inbox.h"
#include "runtime/sched/kthread.h"
#include "runtime/sched/scheduler.h"
#include "runtime/sched/stack_pool.h"
#include "runtime/sched/topology.h"

namespace sluice::sched {

struct Scheduler {
  SchedulerOptions options;
  abi::TickRate rate;
  Ticks poll_interval = 0;  // wished time between two looks at packets, timers and the inbox
  Ticks idle_spin = 0;      // how long a kthread looks for work before it parks
  Topology topology;
  std::vector<std::unique_ptr<Kthread>> kthreads;
  std::vector<pthread_t> pthreads;

  StackPool stacks;
  Inbox inbox;
  BlockingPool blocking;
  std::array<std::atomic<Kthread*>, Topology::kMaxCpus> on_cpu{};  // who was granted that CPU last
  std::atomic<uint32_t> managed_cpus{0};                           // entries of on_cpu that are not null
  std::atomic<bool> stopping{false};
  std::atomic<bool> gone{false};       // the IOKernel
  std::atomic<bool> hooks_run{false};  // of its going

  // A plain pthread has put something into the inbox.
  void Kick();
  // Runs the hooks of scheduler.h, once; by a kthread that has seen `gone`.
  void RunGoneHooks();
};

// Null before Start and after Join.
Scheduler* TheScheduler();

// A stack for a new uthread, and back; any thread, preemption off.
Uthread* TakeStack();
void GiveStack(Uthread* uthread);

}  // namespace sluice::sched
