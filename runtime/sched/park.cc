// park.cc - giving the core back: for want of work, because the IOKernel wants it, or for good.
#include <immintrin.h>
#include <sched.h>

#include <algorithm>
#include <ctime>

#include "runtime/sched/scheduler_state.h"

namespace sluice::sched {
namespace {

constexpr uint64_t kUnmanagedSleepNs = 1'000'000;  // between two looks for something to steal
constexpr int kFlagPatience = 1000;

}  // namespace

// Nothing was found to do. Looks a little longer, then parks.
void Kthread::Idle() {
  if (!managed_) {
    SleepUnmanaged();
  } else if (now_ - idle_since_ < scheduler_.idle_spin) {
    _mm_pause();
  } else {
    // What comes into the ring or the inbox from here on, the IOKernel sees: it compares what it sent, and the kick
    // word, with the record of this park.
    Park(0);
  }
}

// The IOKernel wants the core, whatever is left to do. Run queue, ring and timers stay open to thieves; uthreads that
// were set aside wait for this kthread.
void Kthread::Cede() { Park(set_aside_.empty() ? 0 : uint32_t{abi::kParkPreempted}); }

// In the handler of the cede signal, on the stack of whatever it interrupted. With preemption on that is a uthread: it
// stays here, under the handler's frame, until this kthread runs again. Else the note in the preemption word makes the
// uthread give way when preemption comes back, and the loop looks at the cede word anyway. Async-signal-safe.
void Kthread::OnCedeSignal() {
  if (!io_.grant.CedeRequested() || !managed_) return;
  if (PreemptDepth() > 0) {
    arch::SetPreemptWord(arch::PreemptWord() & ~arch::kNoCedePending);
    return;
  }
  const uint32_t word = arch::PreemptWord();
  PreemptDisable();
  std::atomic<uint64_t>& preemptions = counters().preemptions;
  preemptions.store(preemptions.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  while (io_.grant.CedeRequested() && managed_) Park(abi::kParkPreempted);
  arch::SetPreemptWord(word);  // and not PreemptEnable: whatever note there is, nobody gives way in a handler
}

// Gives the core back, and returns with another one; or with managed_ false.
void Kthread::Park(uint32_t flags) {
  const Ticks parked_at = abi::ReadTsc();
  std::atomic<uint64_t>& parks = counters().parks;
  parks.store(parks.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  run_queue_.Publish();
  // Under the softirq flag, so that no thief consumes between the record and the park: what is said to be consumed
  // never goes back. A thief that keeps it longer than a few batches may make this a little stale, no more.
  bool flag = false;
  for (int i = 0; i < kFlagPatience && !(flag = TakeSoftirqFlag()); ++i) sched_yield();
  if (flag) io_.rx.PublishHead();
  io_.grant.Park({.rx_consumed = rx_taken_.load(std::memory_order_relaxed),
                  .kick_seen = kick_seen_,
                  .next_timer = timers_.next_due(),
                  .flags = flags});
  if (flag) ReleaseSoftirqFlag();
  AwaitGrant();
  now_ += abi::ReadTsc() - parked_at;  // time without a core is neither busy nor idle
  idle_since_ = now_;
}

void Kthread::AwaitGrant() {
  const auto sleep = [this](const std::atomic<uint32_t>& word, uint32_t value) { return SleepForGrant(word, value); };
  // The module's books change in its own call only: so that comes, even if the grant is here already.
  const bool hope = !parker_.ByKsched() || sleep(io_.block->grant.generation, io_.grant.generation());
  if (!hope || !io_.grant.AwaitGrant(sleep)) {
    managed_ = false;
    return;
  }
  const uint32_t cpu = io_.grant.cpu();
  if (cpu >= Topology::kMaxCpus) return;
  if (scheduler_.on_cpu[cpu].exchange(this, std::memory_order_acq_rel) == nullptr) {
    scheduler_.managed_cpus.fetch_add(1, std::memory_order_release);
  }
}

// False: no grant will come. `sleeps_` and the two flags are looked at in opposite orders here and in Join and
// IoKernelGone, which wake whoever says that he sleeps until he no longer does.
bool Kthread::SleepForGrant(const std::atomic<uint32_t>& word, uint32_t value) {
  const auto in_vain = [this] { return scheduler_.gone.load() || scheduler_.stopping.load(); };
  sleeps_.store(true);
  if (!in_vain()) parker_.Sleep(word, value);
  sleeps_.store(false);
  return !in_vain();
}

// Without an IOKernel: until the inbox is kicked, the next timer, or it is time to look for something to steal.
void Kthread::SleepUnmanaged() {
  const Ticks due = timers_.next_due();
  const Ticks now = abi::ReadTsc();
  if (due <= now) return;
  const uint64_t ns = std::min(kUnmanagedSleepNs, scheduler_.rate.ToNs(due - now));
  const timespec timeout{.tv_sec = 0, .tv_nsec = static_cast<long>(ns)};
  FutexWait(scheduler_.options.region.kick(), kick_seen_, &timeout);
}

void Kthread::GiveBackForGood() {
  run_queue_.Publish();
  io_.grant.Park({.rx_consumed = rx_taken_.load(std::memory_order_relaxed),
                  .kick_seen = kick_seen_,
                  .next_timer = abi::kNoTimer,
                  .flags = 0});
}

}  // namespace sluice::sched
