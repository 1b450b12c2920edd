// transmit.h - puts one IP packet into the current kthread's transmit ring.
//
// The packet is written where the IOKernel will read it: the buffer that belongs to the ring's next slot. It is the
// kthread's only while preemption is off, so `write` may not block. A message in the ring reaches the port; there
// is no way to take it back.
#pragma once

#include <cstddef>
#include <cstdint>

#include "iokernel/abi/check.h"
#include "iokernel/abi/message.h"
#include "runtime/net/stack.h"
#include "runtime/sched/kthread.h"
#include "runtime/sched/preempt.h"
#include "runtime/sched/scheduler.h"
#include "sluice/error.h"

namespace sluice::net {

// Writes and sends a packet of `bytes` (at most the MTU) if there is room now. `write(std::byte* at, uint16_t id)`
// fills it in; `id` numbers the kthread's packets. Preemption is off. False: the ring is full.
template <class Write>
[[nodiscard]] bool TryTransmit(sched::Kthread& kthread, size_t bytes, Write&& write) {
  io::KthreadIo& io = kthread.io();
  if (io.tx.Free(1) == 0) return false;
  write(io.NextTxBuffer(), static_cast<uint16_t>(io.tx.sent()));
  const abi::LrpcMessage message = abi::Encode(abi::TxPacket{static_cast<uint16_t>(bytes), 0});
  SLUICE_CHECK(io.tx.Send(message.command, message.payload), "the slot was free");
  return true;
}

// The same for a packet that nobody waits for (an ICMP message): when the ring is full it is dropped and counted.
template <class Write>
void TransmitOrDrop(sched::Kthread& kthread, size_t bytes, Write&& write) {
  if (!TryTransmit(kthread, bytes, write)) Bump(kthread.counters().tx_full);
}

// How long a uthread waits for room in the ring: while the IOKernel lives, only a port that stands still makes a
// ring stay full for that long.
inline constexpr uint64_t kTransmitPatienceUs = 10'000;

// How a full ring is waited for (transmit.cc).
class TransmitWait {
 public:
  // Lets others run. False: this has taken too long; counted as tx_full.
  [[nodiscard]] bool Again();

 private:
  abi::Ticks deadline_ = 0;
};

// Called by uthreads. Errors: kIoKernelGone, kQueueFull. `sent(kthread)` runs after success, preemption still off.
template <class Write, class Sent>
Expected<void> Transmit(size_t bytes, Write&& write, Sent&& sent) {
  TransmitWait wait;
  do {
    const sched::PreemptGuard guard;
    sched::Kthread* kthread = arch::CurrentKthread();
    SLUICE_CHECK(kthread != nullptr, "only a uthread can send packets");
    if (sched::IsIoKernelGone()) return tl::unexpected(Error::kIoKernelGone);
    if (TryTransmit(*kthread, bytes, write)) {
      sent(*kthread);
      return {};
    }
  } while (wait.Again());
  return tl::unexpected(Error::kQueueFull);
}

}  // namespace sluice::net
