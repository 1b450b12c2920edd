#include "runtime/sched/blocking_pool.h"

#include "runtime/sched/cede_signal.h"
#include "runtime/sched/scheduler_state.h"
#include "runtime/sched/switch.h"
#include "sluice/blocking.h"

namespace sluice::sched {

void BlockingPool::Open(const Scheduler& scheduler) {
  scheduler_ = &scheduler;
  CPU_ZERO(&allowed_);
  sched_getaffinity(0, sizeof(allowed_), &allowed_);
  const std::lock_guard lock(mutex_);
  AddThread();
}

void BlockingPool::Close() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  wake_.notify_all();
  // No thread is added once closing_ is set.
  for (std::thread& thread : threads_) thread.join();
}

void BlockingPool::Submit(BlockingCall* call) {
  {
    const std::lock_guard lock(mutex_);
    (first_ == nullptr ? first_ : last_->next) = call;
    last_ = call;
  }
  wake_.notify_one();
}

// mutex_ is held.
void BlockingPool::AddThread() {
  ++idle_;
  threads_.emplace_back([this] { Work(); });
}

void BlockingPool::Work() {
  BlockOtherSignals();
  uint32_t known = 0;
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return first_ != nullptr || closing_; });
    if (closing_) return;
    BlockingCall* call = first_;
    first_ = call->next;
    if (--idle_ == 0 && threads_.size() < kMaxBlockingThreads) AddThread();
    lock.unlock();
    KeepOffManagedCpus(known);
    Uthread* caller = call->caller;
    call->fn(call->arg);
    MakeReady(caller);  // `call` is gone
    lock.lock();
    ++idle_;
  }
}

// Binds the calling thread to the CPUs on which no kthread has been seen, if there are any.
void BlockingPool::KeepOffManagedCpus(uint32_t& known) const {
  const uint32_t now = scheduler_->managed_cpus.load(std::memory_order_acquire);
  if (now == known) return;
  known = now;
  cpu_set_t free = allowed_;
  for (uint32_t cpu = 0; cpu < Topology::kMaxCpus && cpu < CPU_SETSIZE; ++cpu) {
    if (scheduler_->on_cpu[cpu].load(std::memory_order_relaxed) != nullptr) CPU_CLR(cpu, &free);
  }
  if (CPU_COUNT(&free) > 0) sched_setaffinity(0, sizeof(free), &free);
}

}  // namespace sluice::sched
