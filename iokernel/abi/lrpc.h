// lrpc.h - a single-producer, single-consumer ring of 16-byte messages in shared memory.
//
// The consumer sees a message by a parity bit in its command word, so receiving touches one cache line.
// The producer learns of free slots from a head that the consumer writes back now and then, on a line of
// its own; it reads that line only when its cached copy says "full".
//
// Threads: one producer and one consumer *at a time*; who that is may change under a lock of the owner's.
// Trust: each side keeps its own position privately. A peer that writes rubbish can make messages vanish
// or appear, never make this side touch memory outside the ring.
//
// Invariants
//  1. slot i holds a message of lap n exactly when its parity bit equals (n + 1) & 1; fresh memory is zero.
//  2. the producer never overtakes: sent - head_seen <= slots.
//  3. a written-back head that lies outside (sent - slots .. sent) is not believed: the ring stays full.
//
// Source: Shenango, section 4.2 and Caladan's queues by idea; this implementation is ours.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>

namespace sluice::abi {

struct LrpcMessage {
  uint64_t command = 0;  // bit 63 belongs to the ring
  uint64_t payload = 0;
};

// A slot as it lies in shared memory.
struct LrpcSlot {
  std::atomic<uint64_t> command;
  std::atomic<uint64_t> payload;
};
static_assert(sizeof(LrpcSlot) == 16);
static_assert(std::atomic<uint64_t>::is_always_lock_free);

inline constexpr uint64_t kLrpcParity = 1ULL << 63;

// The sending end. `slots` is a power of two.
class LrpcSender {
 public:
  LrpcSender() = default;
  // `position`: messages ever sent, if the ring has a past; both ends and the head then start there.
  LrpcSender(LrpcSlot* ring, uint32_t slots, const std::atomic<uint32_t>* head, uint32_t position = 0)
      : ring_(ring), head_(head), mask_(slots - 1), slots_(slots), sent_(position), head_seen_(position) {}

  // False when the ring is full; nothing is sent then.
  [[nodiscard]] bool Send(uint64_t command, uint64_t payload);

  // Sends a prefix of `messages`, as many as fit; returns how many.
  [[nodiscard]] uint32_t SendBurst(std::span<const LrpcMessage> messages);

  // Free slots, reading the consumer's head if fewer than `wanted` are known to be free.
  [[nodiscard]] uint32_t Free(uint32_t wanted);

  [[nodiscard]] uint32_t sent() const { return sent_; }  // messages ever sent, modulo 2^32
  [[nodiscard]] uint32_t slots() const { return slots_; }

 private:
  void Put(uint32_t position, uint64_t command, uint64_t payload);
  static void PutRun(LrpcSlot* slots, const LrpcMessage* messages, uint32_t count, uint64_t parity);
  static void PutSlot(LrpcSlot& slot, uint64_t command, uint64_t payload, uint64_t parity);

  LrpcSlot* ring_ = nullptr;
  const std::atomic<uint32_t>* head_ = nullptr;
  uint32_t mask_ = 0;
  uint32_t slots_ = 0;
  uint32_t sent_ = 0;
  uint32_t head_seen_ = 0;
};

// The receiving end.
class LrpcReceiver {
 public:
  LrpcReceiver() = default;
  LrpcReceiver(LrpcSlot* ring, uint32_t slots, std::atomic<uint32_t>* head, uint32_t position = 0)
      : ring_(ring), head_(head), mask_(slots - 1), slots_(slots), received_(position), published_(position) {}

  // True if a message is waiting.
  [[nodiscard]] bool Ready() const;

  // Takes one message. The head is written back at every quarter of the ring.
  [[nodiscard]] bool Receive(LrpcMessage* message);

  // Takes up to out.size() messages; returns how many.
  [[nodiscard]] uint32_t ReceiveBurst(std::span<LrpcMessage> out);

  // Writes the head back now: after a batch, when the ring has run empty, before parking.
  void PublishHead();

  [[nodiscard]] uint32_t received() const { return received_; }  // messages ever taken, modulo 2^32

 private:
  static uint32_t TakeRun(const LrpcSlot* slots, LrpcMessage* out, uint32_t count, uint64_t parity);

  LrpcSlot* ring_ = nullptr;
  std::atomic<uint32_t>* head_ = nullptr;
  uint32_t mask_ = 0;
  uint32_t slots_ = 0;
  uint32_t received_ = 0;
  uint32_t published_ = 0;
};

// ---------------------------------------------------------------------------------------------------

inline uint32_t LrpcSender::Free(uint32_t wanted) {
  uint32_t used = sent_ - head_seen_;
  if (slots_ - used >= wanted) return slots_ - used;
  // Acquire pairs with PublishHead's release: the slots up to the head have been read.
  const uint32_t head = head_->load(std::memory_order_acquire);
  if (sent_ - head <= slots_) head_seen_ = head;
  used = sent_ - head_seen_;
  return slots_ - used;
}

inline void LrpcSender::PutSlot(LrpcSlot& slot, uint64_t command, uint64_t payload, uint64_t parity) {
  slot.payload.store(payload, std::memory_order_relaxed);
  // Release pairs with the receiver's acquire of the command: payload and buffer contents come first.
  slot.command.store((command & ~kLrpcParity) | parity, std::memory_order_release);
}

inline void LrpcSender::PutRun(LrpcSlot* slots, const LrpcMessage* messages, uint32_t count, uint64_t parity) {
  for (uint32_t i = 0; i < count; ++i) PutSlot(slots[i], messages[i].command, messages[i].payload, parity);
}

inline void LrpcSender::Put(uint32_t position, uint64_t command, uint64_t payload) {
  LrpcSlot& slot = ring_[position & mask_];
  PutSlot(slot, command, payload, (position & slots_) == 0 ? kLrpcParity : 0);
}

inline bool LrpcSender::Send(uint64_t command, uint64_t payload) {
  if (Free(1) == 0) [[unlikely]]
    return false;
  Put(sent_++, command, payload);
  return true;
}

inline uint32_t LrpcSender::SendBurst(std::span<const LrpcMessage> messages) {
  const auto wanted = static_cast<uint32_t>(messages.size());
  const uint32_t room = Free(wanted);
  const uint32_t count = wanted < room ? wanted : room;
  const uint32_t first = sent_;
  const uint32_t at = first & mask_;
  // Up to the end of the ring all messages have one parity, after it the other.
  const uint32_t to_end = slots_ - at;
  const uint32_t before = count < to_end ? count : to_end;
  const uint64_t parity = (first & slots_) == 0 ? kLrpcParity : 0;
  PutRun(ring_ + at, messages.data(), before, parity);
  PutRun(ring_, messages.data() + before, count - before, parity ^ kLrpcParity);
  sent_ = first + count;
  return count;
}

inline bool LrpcReceiver::Ready() const {
  const uint64_t command = ring_[received_ & mask_].command.load(std::memory_order_relaxed);
  return ((command & kLrpcParity) != 0) == ((received_ & slots_) == 0);
}

inline bool LrpcReceiver::Receive(LrpcMessage* message) {
  const LrpcSlot& slot = ring_[received_ & mask_];
  // Acquire pairs with LrpcSender::PutSlot.
  const uint64_t command = slot.command.load(std::memory_order_acquire);
  if (((command & kLrpcParity) != 0) != ((received_ & slots_) == 0)) return false;
  message->command = command & ~kLrpcParity;
  message->payload = slot.payload.load(std::memory_order_relaxed);
  ++received_;
  if (received_ - published_ >= slots_ / 4) PublishHead();
  return true;
}

inline uint32_t LrpcReceiver::TakeRun(const LrpcSlot* slots, LrpcMessage* out, uint32_t count, uint64_t parity) {
  for (uint32_t i = 0; i < count; ++i) {
    // Acquire pairs with LrpcSender::PutSlot.
    const uint64_t command = slots[i].command.load(std::memory_order_acquire);
    if ((command & kLrpcParity) != parity) return i;
    out[i] = {command & ~kLrpcParity, slots[i].payload.load(std::memory_order_relaxed)};
  }
  return count;
}

inline uint32_t LrpcReceiver::ReceiveBurst(std::span<LrpcMessage> out) {
  // A run to the end of the ring has one parity, what comes after it the other.
  const auto wanted = static_cast<uint32_t>(out.size());
  uint32_t count = 0;
  while (count < wanted) {
    const uint32_t at = received_ & mask_;
    const uint32_t to_end = slots_ - at;
    const uint32_t left = wanted - count;
    const uint32_t run = left < to_end ? left : to_end;
    const uint32_t got = TakeRun(ring_ + at, &out[count], run, (received_ & slots_) == 0 ? kLrpcParity : 0);
    received_ += got;
    count += got;
    if (received_ - published_ >= slots_ / 4) PublishHead();
    if (got < run) break;
  }
  return count;
}

inline void LrpcReceiver::PublishHead() {
  if (published_ == received_) return;
  published_ = received_;
  // Release pairs with LrpcSender::Free: every slot before the head has been read.
  head_->store(received_, std::memory_order_release);
}

}  // namespace sluice::abi
