// switch.cc - from one stack to another.
#include "runtime/sched/switch.h"

#include "iokernel/abi/check.h"
#include "runtime/sched/scheduler_state.h"
#include "sluice/thread.h"

namespace sluice::sched {
namespace {

// Aftermath of a switch among uthreads by one that stays runnable.
void PushBack(Kthread& kthread, void* uthread) { kthread.PushReady(static_cast<Uthread*>(uthread)); }

}  // namespace

// One copy of it for all who switch: then the return predictor is right more often than not.
[[gnu::noinline]] void Kthread::Switch(Execution& from, Uthread* next, arch::Aftermath aftermath, bool last) {
  Execution& to = next != nullptr ? *next : loop_;
  running_ = next;
  runs_ += next != nullptr;
  from.saved_errno = *errno_location_;
  from.exceptions = *exceptions_;
  BeforeSwitch(from.fiber, to.fiber, last);
  Arrive(from, arch::Swap(&from.context, &to.context, aftermath));
}

void SwitchAway(arch::Aftermath aftermath) {
  Uthread& self = Self();
  Kthread& kthread = Current();
  kthread.Switch(self, kthread.Next(), aftermath);
}

void MakeReady(Uthread* uthread) {
  const PreemptGuard guard;
  if (Kthread* kthread = arch::CurrentKthread(); kthread != nullptr) {
    kthread->PushReady(uthread);
    return;
  }
  Scheduler* scheduler = TheScheduler();
  SLUICE_CHECK(scheduler != nullptr, "a uthread was woken after the runtime had ended");
  scheduler->inbox.Push(uthread);
  scheduler->Kick();
}

void GiveWay() {
  arch::SetPreemptWord(arch::kNoCedePending | 1);
  Kthread* kthread = arch::CurrentKthread();
  if (kthread != nullptr && kthread->running() != nullptr) {
    const bool slice_over = !kthread->CedeRequested() && kthread->SliceOver();
    if (slice_over) kthread->CountSlice();
    if (slice_over || kthread->CedeRequested()) {
      kthread->Switch(*kthread->running(), nullptr, {Kthread::EndTurn, kthread->running()});
    }
  }
  PreemptEnable();
}

}  // namespace sluice::sched

namespace sluice {

void Yield() {
  sched::PreemptDisable();
  sched::Uthread& self = sched::Self();
  sched::Kthread& kthread = sched::Current();
  if (!kthread.MaySwitchDirectly()) {
    kthread.Switch(self, nullptr, {sched::Kthread::EndTurn, &self});
  } else if (sched::Uthread* next = kthread.PopReady(); next != nullptr) {
    kthread.Switch(self, next, {sched::PushBack, &self});
  }
  sched::PreemptEnable();
}

}  // namespace sluice
