// static_init.cc - a function's static variable is never left half initialized by a time slice.
//
// Compilers put these calls around the first initialization. The C++ library's sleep on a futex while another thread
// initializes: a second uthread of the same kthread would sleep, and the pthread with it, while the first waits for
// that pthread. Ours are the same but for the note that this uthread is not to be set aside until it is done; an
// executable's definitions go before a library's. Where both are in use they meet in the guard's first word, so its
// bits are those of libstdc++. Source: Itanium C++ ABI, 3.3.3.
#include <atomic>
#include <climits>
#include <cstdint>

#include "runtime/sched/kthread.h"
#include "runtime/sched/parker.h"

namespace sluice::sched {
namespace {

constexpr uint32_t kDone = 1;  // as compilers test it: the first byte
constexpr uint32_t kBusy = 1 << 8;
constexpr uint32_t kSleepers = 1 << 16;

// A plain pthread, and softirq, are never sliced. The caller stays on its kthread meanwhile.
void Initializing(int change) {
  Kthread* kthread = arch::CurrentKthread();
  if (kthread != nullptr && kthread->running() != nullptr) kthread->running()->initializing += change;
}

void Finish(std::atomic<uint32_t>& guard, uint32_t state) {
  // Release pairs with the compilers' acquire of the first byte, and with Acquire.
  if (guard.exchange(state, std::memory_order_acq_rel) & kSleepers) FutexWake(guard, INT_MAX);
  Initializing(-1);
}

}  // namespace
}  // namespace sluice::sched

extern "C" {

int __cxa_guard_acquire(std::atomic<uint32_t>* guard) {
  using namespace sluice::sched;
  for (;;) {
    Initializing(1);
    uint32_t state = 0;
    if (guard->compare_exchange_strong(state, kBusy, std::memory_order_acquire)) return 1;
    Initializing(-1);
    if (state & kDone) return 0;
    if (state & kSleepers || guard->compare_exchange_strong(state, state | kSleepers, std::memory_order_acquire)) {
      FutexWait(*guard, kBusy | kSleepers, nullptr);
    }
  }
}

void __cxa_guard_release(std::atomic<uint32_t>* guard) { sluice::sched::Finish(*guard, sluice::sched::kDone); }

void __cxa_guard_abort(std::atomic<uint32_t>* guard) { sluice::sched::Finish(*guard, 0); }
}
