#include "sluice/blocking.h"

#include "runtime/sched/scheduler_state.h"
#include "runtime/sched/switch.h"

namespace sluice::detail {
namespace {

// Only now: the pool may wake the caller at any time after this.
void SubmitAfterwards(sched::Kthread&, void* call) {
  sched::TheScheduler()->blocking.Submit(static_cast<sched::BlockingCall*>(call));
}

}  // namespace

void RunBlocking(void (*fn)(void*), void* arg) {
  if (arch::CurrentKthread() == nullptr) {
    fn(arg);
    return;
  }
  const sched::PreemptGuard guard;
  sched::BlockingCall call{fn, arg, &sched::Self()};
  sched::SwitchAway({SubmitAfterwards, &call});
}

}  // namespace sluice::detail
