#include "runtime/sync/deadline.h"
#include "sluice/sync.h"

namespace sluice {

// The caller is in the queue before the mutex is free: who signals after changing something under the mutex finds it.
void CondVar::Wait(Mutex& mutex) {
  lock_.Lock();
  queue_.Wait(lock_, detail::kNoDeadline, &mutex);
}

bool CondVar::WaitUntil(Mutex& mutex, Clock::time_point when) {
  lock_.Lock();
  const detail::WakeReason reason = queue_.Wait(lock_, detail::ToTicks(when), &mutex);
  return reason != detail::WakeReason::kTimedOut;
}

void CondVar::WakeOne() {
  lock_.Lock();
  detail::Waiter* woken = queue_.TakeOne();
  lock_.Unlock();
  detail::Wake(woken);
}

void CondVar::WakeAll() {
  lock_.Lock();
  detail::Waiter* woken = queue_.TakeAll();
  lock_.Unlock();
  detail::Wake(woken);
}

}  // namespace sluice
