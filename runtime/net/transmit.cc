// transmit.cc - see transmit.h.
#include "runtime/net/transmit.h"

#include "sluice/thread.h"

namespace sluice::net {

bool TransmitWait::Again() {
  const abi::Ticks now = abi::ReadTsc();
  if (deadline_ == 0) deadline_ = now + sched::Rate().FromUs(kTransmitPatienceUs);
  if (now < deadline_) {
    Yield();
    return true;
  }
  const sched::PreemptGuard guard;
  Bump(arch::CurrentKthread()->counters().tx_full);
  return false;
}

}  // namespace sluice::net
