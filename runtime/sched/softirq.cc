// softirq.cc - takes packets from an RX ring, in order, by one kthread at a time.
#include <array>

#include "iokernel/abi/message.h"
#include "runtime/sched/scheduler_state.h"

namespace sluice::sched {
namespace {

constexpr uint32_t kBatch = 32;
constexpr uint32_t kPacketsPerPoll = 64;  // then uthreads run again

void Add(std::atomic<uint64_t>& counter, uint64_t n) {
  counter.store(counter.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
}

// For a scheduler without a packet handler.
void GiveBackUnread(std::span<const abi::LrpcMessage> messages) {
  for (const abi::LrpcMessage& message : messages) ReturnBuffer(abi::DecodeRx(message).buffer);
}

}  // namespace

// By any kthread, without the flag: a glance at the next slot's parity bit.
bool Kthread::PacketsWait() const {
  const uint32_t next = rx_taken_.load(std::memory_order_relaxed);
  const uint64_t command = rx_ring_[next & (rx_slots_ - 1)].command.load(std::memory_order_relaxed);
  return ((command & abi::kLrpcParity) != 0) == ((next & rx_slots_) == 0);
}

// Acquire pairs with ReleaseSoftirqFlag: the receiver's position.
bool Kthread::TakeSoftirqFlag() {
  return !softirq_flag_.load(std::memory_order_relaxed) && !softirq_flag_.exchange(true, std::memory_order_acquire);
}

void Kthread::ReleaseSoftirqFlag() { softirq_flag_.store(false, std::memory_order_release); }

// Runs this kthread's softirq on `executing`, itself or a thief. The flag is held until the last packet of a batch has
// been handled, so packets of one flow are handled in order; only then are they published as consumed.
bool Kthread::Softirq(Kthread& executing) {
  if (!PacketsWait() || !TakeSoftirqFlag()) return false;
  std::array<abi::LrpcMessage, kBatch> batch;
  uint32_t total = 0;
  while (total < kPacketsPerPoll) {
    const uint32_t count = io_.rx.ReceiveBurst(batch);
    if (count == 0) break;
    const std::span messages(batch.data(), count);
    scheduler_.options.on_packets != nullptr ? scheduler_.options.on_packets(executing, index_, messages)
                                             : GiveBackUnread(messages);
    rx_taken_.store(io_.rx.received(), std::memory_order_relaxed);
    io_.block->signal.rx_consumed.store(io_.rx.received(), std::memory_order_relaxed);
    io_.rx.PublishHead();
    total += count;
  }
  ReleaseSoftirqFlag();
  Add(executing.counters().rx_packets, total);
  if (this != &executing) Add(executing.counters().rx_stolen, total);
  return total > 0;
}

}  // namespace sluice::sched
