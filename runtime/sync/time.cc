#include "sluice/time.h"

#include <algorithm>

#include "runtime/sched/scheduler_state.h"
#include "runtime/sched/switch.h"
#include "runtime/sched/timer.h"
#include "runtime/sync/deadline.h"

namespace sluice {
namespace {

struct Sleeper {
  explicit Sleeper(sched::Uthread* self) : uthread(self), timer(OnTimer, this) {}
  static void OnTimer(sched::Timer& timer) { sched::MakeReady(static_cast<Sleeper*>(timer.arg())->uthread); }

  sched::Uthread* uthread;
  uint64_t deadline = 0;
  sched::Timer timer;
};

void ArmAfterwards(sched::Kthread&, void* sleeper) {
  static_cast<Sleeper*>(sleeper)->timer.Arm(static_cast<Sleeper*>(sleeper)->deadline);
}

}  // namespace

Clock::time_point Clock::now() {
  if (sched::TheScheduler() == nullptr) return {};
  return time_point(duration(sched::Rate().ToNs(abi::ReadTsc())));
}

Clock::time_point Clock::After(duration timeout) {
  const time_point start = now();
  return timeout < time_point::max() - start ? start + timeout : time_point::max();
}

uint64_t detail::ToTicks(Clock::time_point when) {
  // Centuries are more ticks than a word holds.
  constexpr std::chrono::hours kNever(24 * 365 * 50);
  if (when.time_since_epoch() >= kNever) return kNoDeadline;
  const auto ns = std::max<Clock::rep>(when.time_since_epoch().count(), 0);
  // One nanosecond more, for the conversions round down.
  return sched::Rate().FromNs(static_cast<uint64_t>(ns) + 1) + 1;
}

void SleepUntil(Clock::time_point when) {
  sched::PreemptDisable();
  Sleeper sleeper(&sched::Self());
  sleeper.deadline = detail::ToTicks(when);
  // Armed once this stack is left: then it may fire anywhere, at once.
  sched::SwitchAway({ArmAfterwards, &sleeper});
  sched::PreemptEnable();
  sleeper.timer.Cancel();  // its callback may still be on its way out
}

void Sleep(std::chrono::nanoseconds duration) { SleepUntil(Clock::After(duration)); }

}  // namespace sluice
