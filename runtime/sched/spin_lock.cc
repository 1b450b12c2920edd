#include <immintrin.h>
#include <sched.h>

#include "runtime/sched/preempt.h"
#include "sluice/detail/wait_queue.h"

namespace sluice::detail {
namespace {

constexpr int kSpins = 64;  // about 0.7 us

}  // namespace

void SpinLock::Lock() {
  sched::PreemptDisable();
  // Acquire pairs with the release in Unlock.
  if (held_.exchange(true, std::memory_order_acquire)) [[unlikely]]
    LockSlowly();
}

bool SpinLock::TryLock() {
  sched::PreemptDisable();
  if (!held_.load(std::memory_order_relaxed) && !held_.exchange(true, std::memory_order_acquire)) return true;
  sched::PreemptEnable();
  return false;
}

void SpinLock::Unlock() {
  held_.store(false, std::memory_order_release);
  sched::PreemptEnable();
}

void SpinLock::LockSlowly() {
  for (;;) {
    for (int i = 0; i < kSpins; ++i) {
      if (!held_.load(std::memory_order_relaxed) && !held_.exchange(true, std::memory_order_acquire)) return;
      _mm_pause();
    }
    sched_yield();
  }
}

}  // namespace sluice::detail
