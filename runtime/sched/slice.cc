// slice.cc - the end of a time slice.
#include "runtime/sched/slice.h"

#include <pthread.h>
#include <ucontext.h>

#include <cstdlib>
#include <cstring>
#include <exception>

#include "runtime/sched/scheduler_state.h"
#include "sluice/preempt.h"

// Where the linker has put the executable.
extern "C" const char __executable_start, etext;

namespace sluice::sched {
namespace {

template <class Function>
bool IsOwn(Function* function) {
  return InOwnText(reinterpret_cast<uintptr_t>(function));
}

void SetSignalMask(int how, const sigset_t& signals) { pthread_sigmask(how, &signals, nullptr); }

}  // namespace

bool InOwnText(uintptr_t program_counter) {
  return program_counter >= reinterpret_cast<uintptr_t>(&__executable_start) &&
         program_counter < reinterpret_cast<uintptr_t>(&etext);
}

const char* WhyNeverSliced() {
#ifdef __SANITIZE_THREAD__
  return "ThreadSanitizer delivers signals late, inside of its own functions";
#endif
  if (IsOwn(&std::abort)) return "the executable contains the C library, whose locks it would then be interrupted with";
  if (IsOwn(&std::terminate)) return "the executable contains the C++ library (-static-libstdc++)";
  if (IsOwn(&std::malloc)) return "the executable contains a malloc of its own; link that as a shared library";
  return nullptr;
}

// ---------------------------------------------------------------------------------------------------
// At a kthread's side.

bool Kthread::OthersWait() const {
  return !run_queue_.LooksEmpty() || !set_aside_.empty() || PacketsWait() || timers_.next_due() <= abi::ReadTsc() ||
         scheduler_.options.region.kick().load(std::memory_order_relaxed) != kick_seen_;
}

// True if the uthread that runs shall let others go first, and there are any.
bool Kthread::SliceOver() const { return io_.grant.TurnOver() && running_->initializing == 0 && OthersWait(); }

void Kthread::CountSlice() {
  std::atomic<uint64_t>& slices = counters().slices;
  slices.store(slices.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

// In the handler of the signal; all signals are blocked. `frame` is what it interrupted. Async-signal-safe.
void Kthread::OnSliceSignal(const ucontext_t& frame) {
  if (!io_.grant.TurnOver() || !managed_) return;
  // Another mask than a kthread's: it interrupted a handler of the app's.
  const bool own_mask = std::memcmp(&frame.uc_sigmask, &signal_mask_, sizeof(uint64_t)) == 0;
  const auto program_counter = static_cast<uintptr_t>(frame.uc_mcontext.gregs[REG_RIP]);
  if (PreemptDepth() > 0 || !own_mask || !InOwnText(program_counter)) {
    arch::SetPreemptWord(arch::PreemptWord() & ~arch::kNoCedePending);
    return;
  }
  if (!SliceOver()) return;
  PreemptDisable();
  CountSlice();
  // Whoever runs next must be reached by signals; and this frame must be left before another one comes to lie on it.
  SetSignalMask(SIG_SETMASK, signal_mask_);
  Switch(*running_, nullptr, {SetAside, running_});
  sigset_t all;
  sigfillset(&all);
  SetSignalMask(SIG_SETMASK, all);
  // What came until now has left a note at most. A uthread may not be given away from here, as GiveWay does.
  while (io_.grant.CedeRequested() && managed_) Park(abi::kParkPreempted);
  arch::SetPreemptWord(arch::kNoCedePending);
}

// Aftermath, on the loop's stack: what has come meanwhile goes first.
void Kthread::SetAside(Kthread& kthread, void* uthread) {
  kthread.Poll();
  kthread.set_aside_.Push(static_cast<Uthread*>(uthread), abi::ReadTsc());
  kthread.PublishSetAside(1);
}

// Some were set aside: the one of all that has been runnable longest. Never null, whatever thieves take.
Uthread* Kthread::PopOldest() {
  if (run_queue_.OldestSince() <= set_aside_.since()) {
    if (Uthread* next = run_queue_.Pop(); next != nullptr) return next;
  }
  PublishSetAside(-1);
  run_queue_.CountTurn();
  return set_aside_.Pop();
}

void Kthread::PublishSetAside(int32_t change) {
  std::atomic<uint32_t>& count = io_.block->signal.set_aside;
  count.store(count.load(std::memory_order_relaxed) + static_cast<uint32_t>(change), std::memory_order_relaxed);
}

}  // namespace sluice::sched

namespace sluice {

NoPreempt::NoPreempt() { sched::PreemptDisable(); }
NoPreempt::~NoPreempt() { sched::PreemptEnable(); }

}  // namespace sluice
