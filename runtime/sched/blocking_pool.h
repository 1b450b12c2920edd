// blocking_pool.h - plain pthreads that run what would block a kthread.
//
// While calls are fewer than kMaxBlockingThreads one thread more than needed stands by, made by a plain pthread, so
// none inherits a kthread's CPU or priority.
// Threads: Open and Close by the thread that starts and joins the scheduler; Submit by kthreads.
#pragma once

#include <sched.h>

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include "runtime/sched/uthread.h"

namespace sluice::sched {

struct Scheduler;

// Lives on the stack of the uthread that waits for it.
struct BlockingCall {
  void (*fn)(void* arg);
  void* arg;
  Uthread* caller;
  BlockingCall* next = nullptr;
};

class BlockingPool {
 public:
  void Open(const Scheduler& scheduler);
  // Waits for the calls that run; those still queued are given up.
  void Close();

  // `call.caller` has left its stack; it is made runnable afterwards.
  void Submit(BlockingCall* call);

 private:
  void Work();
  void AddThread();
  void KeepOffManagedCpus(uint32_t& known) const;

  const Scheduler* scheduler_ = nullptr;
  cpu_set_t allowed_{};  // of the process, before the IOKernel moved any of its threads
  std::mutex mutex_;
  std::condition_variable wake_;
  BlockingCall* first_ = nullptr;
  BlockingCall* last_ = nullptr;
  uint32_t idle_ = 0;
  bool closing_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace sluice::sched
