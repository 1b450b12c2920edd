#include <utility>

#include "runtime/sync/deadline.h"
#include "sluice/sync.h"

namespace sluice {

void Semaphore::Acquire() { (void)AcquireUntil(Clock::time_point::max()); }

bool Semaphore::TryAcquire() {
  const detail::SpinGuard guard(lock_);
  if (count_ == 0) return false;
  --count_;
  return true;
}

bool Semaphore::AcquireUntil(Clock::time_point when) {
  lock_.Lock();
  if (count_ > 0) {
    --count_;
    lock_.Unlock();
    return true;
  }
  // Who is woken has been given a unit: it was never added to count_.
  return queue_.Wait(lock_, detail::ToTicks(when)) == detail::WakeReason::kSignalled;
}

void Semaphore::Post(uint32_t count) {
  while (count > 0) {
    lock_.Lock();
    detail::Waiter* woken = queue_.TakeOne();
    if (woken == nullptr) count_ += std::exchange(count, 0);
    lock_.Unlock();
    if (woken == nullptr) return;
    --count;
    detail::Wake(woken);
  }
}

}  // namespace sluice
