#include "iokernel/abi/check.h"
#include "sluice/sync.h"

namespace sluice {

void WaitGroup::Add(uint32_t count) {
  const detail::SpinGuard guard(lock_);
  pending_ += count;
}

void WaitGroup::Done() {
  lock_.Lock();
  SLUICE_CHECK(pending_ > 0, "WaitGroup::Done was called more often than Add");
  detail::Waiter* woken = --pending_ == 0 ? queue_.TakeAll() : nullptr;
  lock_.Unlock();
  detail::Wake(woken);
}

void WaitGroup::Wait() {
  lock_.Lock();
  if (pending_ == 0) {
    lock_.Unlock();
    return;
  }
  queue_.Wait(lock_);
}

}  // namespace sluice
