// kthread.cc - the scheduler loop.
//
// The loop runs on the pthread's own stack, preemption off, and is left for a uthread only in Resume. Uthreads switch
// among themselves without it (switch.cc) until their budget is spent, a cede is wanted or nothing is runnable.
#include "runtime/sched/kthread.h"

#include <cxxabi.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "runtime/sched/scheduler_state.h"
#include "runtime/sched/stack_overflow.h"

namespace sluice::sched {
namespace {

constexpr int32_t kMostSwitches = 64;  // between two polls

}  // namespace

Kthread::Kthread(Scheduler& scheduler, uint32_t index)
    : io_(scheduler.options.region, index),
      stacks_(scheduler.stacks),
      scheduler_(scheduler),
      index_(index),
      rx_ring_(scheduler.options.region.layout.RxRing(scheduler.options.region.base, index)),
      rx_slots_(scheduler.options.region.layout.geometry().rx_slots),
      timers_(&io_.block->signal.next_timer),
      run_queue_(&io_.block->signal) {}

void Kthread::Main() {
  PreemptDisable();
  const OverflowStack overflow_stack;
  arch::SetCurrentKthread(this);
  errno_location_ = &errno;
  exceptions_ = reinterpret_cast<ExceptionState*>(__cxxabiv1::__cxa_get_globals());
  loop_.fiber.AdoptCurrentStack();
  pthread_sigmask(SIG_SETMASK, nullptr, &signal_mask_);
  if (scheduler_.options.region.header().features & abi::kFeatureKsched) parker_.Enrol();
  // Release pairs with ThreadIds.
  tid_.store(gettid(), std::memory_order_release);

  AwaitGrant();
  Loop();

  if (managed_) GiveBackForGood();
  arch::SetCurrentKthread(nullptr);
  PreemptEnable();
}

void Kthread::Loop() {
  while (!Stopping()) {
    // Again: a cede that comes before the grant is acknowledged finds nobody to leave a note with.
    while (io_.grant.CedeRequested() && managed_) Cede();
    if (budget_ <= 0) Poll();
    if (Uthread* next = set_aside_.empty() ? run_queue_.Pop() : PopOldest(); next != nullptr) {
      Resume(next);
    } else if (!Poll() && !Steal()) {
      Idle();
    }
  }
}

// Runs uthreads until one of them has nobody to switch to.
void Kthread::Resume(Uthread* next) {
  --budget_;
  worked_ = true;
  Switch(loop_, next, {});
}

// Aftermath, on the loop's stack: what has come meanwhile goes first, unless the core is wanted back at once.
void Kthread::EndTurn(Kthread& kthread, void* uthread) {
  if (!kthread.CedeRequested()) kthread.Poll();
  kthread.PushReady(static_cast<Uthread*>(uthread));
}

// Looks at the clock, and at everything that can make uthreads runnable here. True if there was anything.
bool Kthread::Poll() {
  Account(abi::ReadTsc());
  if (scheduler_.gone.load(std::memory_order_relaxed)) [[unlikely]]
    NoticeGone();
  bool found = Softirq(*this);
  found |= timers_.RunDue(now_);
  found |= TakeInbox();
  found |= StealFromParked();
  if (found) worked_ = true;
  return found;
}

// Closes the books on the time since the last poll, and adapts the number of switches until the next.
void Kthread::Account(Ticks now) {
  const Ticks elapsed = now - now_;
  if (worked_) {
    busy_ += elapsed;
    idle_since_ = now;
    if (elapsed > scheduler_.poll_interval) budget_full_ = std::max(budget_full_ / 2, 1);
    if (elapsed < scheduler_.poll_interval / 2) budget_full_ = std::min(budget_full_ * 2, kMostSwitches);
    worked_ = false;
  }
  budget_ = budget_full_;
  now_ = now;
  io_.block->signal.busy_ticks.store(busy_, std::memory_order_relaxed);
  counters().uthreads_run.store(runs_, std::memory_order_relaxed);
  run_queue_.Publish();
}

// What plain pthreads have woken. The kick word is read before the inbox; the pusher goes the other way.
bool Kthread::TakeInbox() {
  const uint32_t kick = scheduler_.options.region.kick().load(std::memory_order_acquire);
  if (kick == kick_seen_) return false;
  kick_seen_ = kick;
  if (scheduler_.inbox.empty()) return false;
  Uthread* chain = scheduler_.inbox.TakeAll();
  const bool any = chain != nullptr;
  while (chain != nullptr) {
    Uthread* next = chain->next;
    PushReady(chain);
    chain = next;
  }
  return any;
}

void Kthread::NoticeGone() {
  managed_ = false;
  scheduler_.RunGoneHooks();
}

bool Kthread::Stopping() const { return scheduler_.stopping.load(std::memory_order_relaxed); }

}  // namespace sluice::sched
