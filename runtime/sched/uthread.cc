// uthread.cc - the life of a uthread: made, started, finished, joined or detached.
#include "runtime/sched/uthread.h"

#include <algorithm>

#include "iokernel/abi/check.h"
#include "runtime/sched/scheduler_state.h"
#include "runtime/sched/switch.h"
#include "sluice/thread.h"

namespace sluice::sched {
namespace {

void FreeStack(Kthread& kthread, void* uthread) { kthread.stacks().Put(static_cast<Uthread*>(uthread)); }

void FinishJoinable(Kthread& kthread, void* finished) {
  auto* uthread = static_cast<Uthread*>(finished);
  // Release: what it did is visible to who joins it. Acquire: the joiner's saved registers.
  const uintptr_t was = uthread->join.exchange(kFinished, std::memory_order_acq_rel);
  if (was == kJoinable) return;  // Join or Detach frees the stack
  kthread.stacks().Put(uthread);
  if (was != kDetached) kthread.PushReady(reinterpret_cast<Uthread*>(was));
}

struct Joining {
  Uthread& joiner;
  Uthread& target;
  bool finished = false;
};

void RegisterJoiner(Kthread& kthread, void* arg) {
  auto& joining = *static_cast<Joining*>(arg);
  uintptr_t expected = kJoinable;
  // Once this has succeeded the joiner may run, and `joining` be gone.
  if (joining.target.join.compare_exchange_strong(expected, reinterpret_cast<uintptr_t>(&joining.joiner),
                                                  std::memory_order_acq_rel)) {
    return;
  }
  SLUICE_CHECK(expected == kFinished, "a uthread was joined twice, or joined and detached");
  joining.finished = true;
  kthread.PushReady(&joining.joiner);
}

// The uthread's function has returned: runs whatever is next, and comes back no more.
[[noreturn]] void Finish(Uthread& self) {
  Kthread& kthread = Current();
  const uintptr_t join = self.join.load(std::memory_order_acquire);
  if (join == kDetached) {
    kthread.Switch(self, kthread.Next(), {FreeStack, &self}, true);
  } else if (join > kFinished && kthread.MaySwitchDirectly()) {
    // Somebody waits for just this: it takes over, without a turn in the queue.
    kthread.Switch(self, reinterpret_cast<Uthread*>(join), {FreeStack, &self}, true);
  } else {
    kthread.Switch(self, kthread.Next(), {FinishJoinable, &self}, true);
  }
  __builtin_unreachable();
}

}  // namespace

// The first C++ of a new stack.
extern "C" [[noreturn]] void sluice_uthread_main(void (*run)(Kthread&, void*), void* arg) noexcept {
  Uthread& self = Self();
  Kthread::Arrive(self, {run, arg});
  PreemptEnable();
  self.entry(self.closure);
  PreemptDisable();
  Finish(self);
}

}  // namespace sluice::sched

namespace sluice {
namespace detail {

sched::Uthread* NewUthread(void (*entry)(void*), size_t bytes, size_t alignment, void** closure) {
  const sched::PreemptGuard guard;
  sched::Uthread* uthread = sched::TakeStack();
  if (uthread == nullptr) return nullptr;
  const uintptr_t mask = ~(std::max<uintptr_t>(alignment, 16) - 1);
  void* top = reinterpret_cast<void*>((reinterpret_cast<uintptr_t>(uthread) - bytes) & mask);
  arch::Prepare(&uthread->context, top);
  uthread->exceptions = {};
  uthread->saved_errno = 0;
  uthread->join.store(sched::kJoinable, std::memory_order_relaxed);
  uthread->entry = entry;
  uthread->closure = *closure = top;
  uthread->fiber.Create(uthread->stack_bottom,
                        static_cast<size_t>(static_cast<std::byte*>(top) - uthread->stack_bottom));
  return uthread;
}

void StartUthread(sched::Uthread* uthread, bool detached) {
  if (detached) uthread->join.store(sched::kDetached, std::memory_order_relaxed);
  sched::MakeReady(uthread);
}

void JoinUthread(sched::Uthread* uthread) {
  const sched::PreemptGuard guard;
  sched::Joining joining{sched::Self(), *uthread};
  // Acquire pairs with FinishJoinable.
  if (uthread->join.load(std::memory_order_acquire) != sched::kFinished) {
    sched::SwitchAway({sched::RegisterJoiner, &joining});
    if (!joining.finished) return;
  }
  sched::Current().stacks().Put(uthread);
}

void DetachUthread(sched::Uthread* uthread) {
  const sched::PreemptGuard guard;
  uintptr_t expected = sched::kJoinable;
  if (uthread->join.compare_exchange_strong(expected, sched::kDetached, std::memory_order_acq_rel)) return;
  SLUICE_CHECK(expected == sched::kFinished, "a uthread was detached twice, or joined and detached");
  sched::GiveStack(uthread);
}

}  // namespace detail
}  // namespace sluice
