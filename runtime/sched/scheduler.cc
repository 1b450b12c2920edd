// scheduler.cc - start and end, and what plain pthreads may do.
#include "runtime/sched/scheduler.h"

#include <time.h>
#include <unistd.h>

#include <climits>
#include <cstring>
#include <utility>

#include "iokernel/abi/check.h"
#include "iokernel/abi/message.h"
#include "runtime/sched/cede_signal.h"
#include "runtime/sched/scheduler_state.h"
#include "runtime/sched/stack_overflow.h"
#include "sluice/thread.h"

namespace sluice::sched {
namespace {

constexpr uint64_t kPollIntervalUs = 4;
constexpr uint64_t kIdleSpinUs = 5;
constexpr timespec kRetry{.tv_sec = 0, .tv_nsec = 100'000};

std::atomic<Scheduler*> the_scheduler{nullptr};
std::atomic<GoneHook*> gone_hooks{nullptr};
abi::TickRate the_rate;

// Until nobody sleeps for a grant. A sleeper may be on its way to sleep: so again and again.
void WakeSleepers(const Scheduler& scheduler) {
  for (bool any = true; any;) {
    any = false;
    for (const auto& kthread : scheduler.kthreads) {
      if (!kthread->sleeps()) continue;
      any = true;
      kthread->WakeInVain();
    }
    if (any) nanosleep(&kRetry, nullptr);
  }
}

void* KthreadMain(void* kthread) {
  BlockOtherSignals();
  static_cast<Kthread*>(kthread)->Main();
  return nullptr;
}

}  // namespace

Scheduler* TheScheduler() { return the_scheduler.load(std::memory_order_acquire); }

tl::expected<void, std::string> Start(const SchedulerOptions& options) {
  SLUICE_CHECK(TheScheduler() == nullptr, "one scheduler per process");
  auto scheduler = std::make_unique<Scheduler>();
  scheduler->options = options;
  scheduler->rate = the_rate = abi::TickRate(options.region.header().tsc_hz);
  scheduler->poll_interval = scheduler->rate.FromUs(kPollIntervalUs);
  scheduler->idle_spin = options.shared_cpus ? 0 : scheduler->rate.FromUs(kIdleSpinUs);
  scheduler->topology = Topology::Read();
  if (auto opened = scheduler->stacks.Open(options.stack_size, options.max_uthreads); !opened) return opened;
  InstallCedeHandler();
  InstallOverflowHandler();
  scheduler->blocking.Open(*scheduler);

  const uint32_t count = options.region.kthreads();
  for (uint32_t k = 0; k < count; ++k) scheduler->kthreads.push_back(std::make_unique<Kthread>(*scheduler, k));
  scheduler->pthreads.resize(count);
  the_scheduler.store(scheduler.get(), std::memory_order_release);
  Scheduler& started = *scheduler.release();  // Join deletes it
  for (uint32_t k = 0; k < count; ++k) {
    const int error = pthread_create(&started.pthreads[k], nullptr, KthreadMain, started.kthreads[k].get());
    if (error == 0) continue;
    started.pthreads.resize(k);
    Stop();
    Join();
    return tl::unexpected("pthread " + std::to_string(k) + " of " + std::to_string(count) +
                          " cannot be made: " + std::strerror(error) + " (see ulimit -u and pids.max)");
  }
  return {};
}

std::vector<pid_t> ThreadIds() {
  std::vector<pid_t> ids;
  for (const auto& kthread : TheScheduler()->kthreads) {
    while (kthread->tid() == 0) nanosleep(&kRetry, nullptr);
    ids.push_back(kthread->tid());
  }
  return ids;
}

bool SpawnFromOutside(std::function<void()> fn) { return TrySpawn(std::move(fn)); }

void IoKernelGone() {
  Scheduler& scheduler = *TheScheduler();
  scheduler.gone.store(true);
  WakeSleepers(scheduler);
}

void Stop() {
  Scheduler& scheduler = *TheScheduler();
  scheduler.stopping.store(true);
  scheduler.stopping.notify_all();
}

void Join() {
  Scheduler* scheduler = TheScheduler();
  scheduler->stopping.wait(false);
  WakeSleepers(*scheduler);
  for (const pthread_t pthread : scheduler->pthreads) pthread_join(pthread, nullptr);
  scheduler->blocking.Close();
  the_scheduler.store(nullptr, std::memory_order_release);
  delete scheduler;
}

void Scheduler::Kick() {
  options.region.kick().fetch_add(1, std::memory_order_release);
  if (gone.load()) FutexWake(options.region.kick(), INT_MAX);
}

void Scheduler::RunGoneHooks() {
  if (hooks_run.exchange(true)) return;
  for (GoneHook* hook = gone_hooks.load(std::memory_order_acquire); hook != nullptr; hook = hook->next) {
    hook->run(hook->arg);
  }
}

void AddGoneHook(GoneHook* hook) {
  hook->next = gone_hooks.load(std::memory_order_relaxed);
  while (!gone_hooks.compare_exchange_weak(hook->next, hook, std::memory_order_release)) {
  }
}

bool IsIoKernelGone() { return TheScheduler() != nullptr && TheScheduler()->gone.load(std::memory_order_acquire); }

const abi::TickRate& Rate() { return the_rate; }

void ReturnBuffer(uint32_t buffer) {
  const PreemptGuard guard;
  const abi::LrpcMessage message = abi::EncodeFill(buffer);
  // The ring has a slot for every buffer there is, so it can only be full when the IOKernel's head is not believed.
  (void)Current().io().fill.Send(message.command, message.payload);
}

Uthread* TakeStack() {
  if (Kthread* kthread = arch::CurrentKthread(); kthread != nullptr) return kthread->stacks().Take();
  Scheduler* scheduler = TheScheduler();
  if (scheduler == nullptr) return nullptr;
  Uthread* taken = scheduler->stacks.TakeBatch();
  if (taken != nullptr && taken->next != nullptr) scheduler->stacks.PutBatch(std::exchange(taken->next, nullptr));
  return taken;
}

void GiveStack(Uthread* uthread) {
  if (Kthread* kthread = arch::CurrentKthread(); kthread != nullptr) {
    kthread->stacks().Put(uthread);
    return;
  }
  uthread->next = nullptr;
  TheScheduler()->stacks.PutBatch(uthread);
}

}  // namespace sluice::sched

namespace sluice::detail {

void OutOfUthreads() {
  const sched::Scheduler* scheduler = sched::TheScheduler();
  SLUICE_CHECK(scheduler != nullptr, "a uthread was asked for outside of Run");
  std::fprintf(stderr,
               "sluice: no stack for another uthread: %u are the most here. Raise vm.max_map_count or the memory "
               "limit, or use TryMake or TrySpawn\n",
               scheduler->stacks.max_stacks());
  std::abort();
}

}  // namespace sluice::detail
