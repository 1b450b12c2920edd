// stack.h - what the network stack knows of the present attachment. Everything that must outlive one (ports, their
// sockets) is elsewhere and points to nothing in here.
//
// Threads: Open and Close by the thread that runs the scheduler, before its Start and after its Join; constant in
// between, the queue links excepted, each of which belongs to the owner of its receive buffer.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "iokernel/abi/lrpc.h"
#include "runtime/io/region_view.h"
#include "runtime/net/rate_limit.h"
#include "runtime/sched/kthread.h"
#include "sluice/udp.h"

namespace sluice::net {

inline constexpr uint32_t kNoBuffer = ~uint32_t{0};

// A datagram in a port's queue. There is one of these per receive buffer, at the buffer's index: a queue can hold
// whatever arrives, without memory of its own.
struct QueuedDatagram {
  Datagram datagram;
  uint32_t next = kNoBuffer;
};

struct Stack {
  std::atomic<uint64_t> epoch{0};  // of the attachment; 0: there is none
  io::RegionView region;
  uint32_t address = 0;
  uint32_t prefix_mask = 0;
  size_t mtu = 0;
  std::unique_ptr<QueuedDatagram[]> queued;
  RateLimit unreachable_limit;  // of ICMP errors

  [[nodiscard]] bool open() const { return epoch.load(std::memory_order_acquire) != 0; }
};

// The process's one stack.
Stack& TheStack();

void OpenStack(const io::RegionView& region);
void CloseStack();

// The scheduler's PacketHandler: takes each packet apart and hands it to its protocol. Softirq context.
void OnPackets(sched::Kthread& executing, uint32_t ring_kthread, std::span<const abi::LrpcMessage> messages);

// Gives a receive buffer back, if its attachment is still the present one. Any thread.
void GiveBack(uint64_t epoch, uint32_t buffer);

// Adds one to a counter that only the calling kthread writes.
inline void Bump(std::atomic<uint64_t>& counter) {
  counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

}  // namespace sluice::net
