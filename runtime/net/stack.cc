// stack.cc - opens and closes the stack. The way in is in ip.cc.
#include "runtime/net/stack.h"

#include "iokernel/abi/clock.h"
#include "runtime/net/udp_ports.h"
#include "runtime/sched/preempt.h"
#include "runtime/sched/scheduler.h"
#include "sluice/thread.h"

namespace sluice::net {
namespace {

// ICMP errors: as many as Linux sends (icmp_msgs_per_sec, icmp_msgs_burst).
constexpr uint32_t kUnreachablePerSecond = 1000;
constexpr uint32_t kUnreachableBurst = 50;

}  // namespace

Stack& TheStack() {
  static constinit Stack stack;
  return stack;
}

void OpenStack(const io::RegionView& region) {
  Stack& stack = TheStack();
  const abi::RegionHeader& header = region.header();
  stack.region = region;
  stack.address = header.address;
  stack.prefix_mask = header.prefix_bits == 0 ? 0 : ~uint32_t{0} << (32 - header.prefix_bits);
  stack.mtu = header.mtu;
  stack.queued = std::make_unique<QueuedDatagram[]>(region.layout.geometry().rx_buffers);
  stack.unreachable_limit = RateLimit(header.tsc_hz / kUnreachablePerSecond, kUnreachableBurst);
  WakePortsWhenGone();
  // Release: whoever sees the epoch sees the rest.
  stack.epoch.store(header.epoch, std::memory_order_release);
}

void CloseStack() {
  Stack& stack = TheStack();
  stack.epoch.store(0, std::memory_order_release);
  DropQueues();
  stack.queued.reset();
  stack.region = {};
  stack.address = 0;
  stack.mtu = 0;
}

void GiveBack(uint64_t epoch, uint32_t buffer) {
  if (TheStack().epoch.load(std::memory_order_acquire) != epoch) return;
  sched::PreemptDisable();
  const bool on_kthread = arch::CurrentKthread() != nullptr;
  if (on_kthread) sched::ReturnBuffer(buffer);
  sched::PreemptEnable();
  // Fill rings belong to kthreads. Out of stacks, the buffer comes back when the attachment ends.
  if (!on_kthread) (void)TrySpawn([epoch, buffer] { GiveBack(epoch, buffer); });
}

}  // namespace sluice::net
