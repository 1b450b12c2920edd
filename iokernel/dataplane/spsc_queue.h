// spsc_queue.h - a bounded queue of small values between two threads of this process.
//
// One thread pushes, one pops. (abi/lrpc.h is for peers that do not trust each other and for 16-byte messages.)
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

namespace sluice {

template <class T, uint32_t kSlots>
class SpscQueue {
  static_assert((kSlots & (kSlots - 1)) == 0);

 public:
  // False when the queue is full.
  [[nodiscard]] bool Push(const T& value) {
    const uint32_t tail = tail_.load(std::memory_order_relaxed);
    // Acquire pairs with Pop's release: the slot has been read.
    if (tail - head_.load(std::memory_order_acquire) == kSlots) return false;
    slots_[tail % kSlots] = value;
    // Release pairs with Pop's acquire.
    tail_.store(tail + 1, std::memory_order_release);
    return true;
  }

  // False when the queue is empty.
  [[nodiscard]] bool Pop(T* value) {
    const uint32_t head = head_.load(std::memory_order_relaxed);
    // Acquire pairs with Push's release: the value is there.
    if (tail_.load(std::memory_order_acquire) == head) return false;
    *value = slots_[head % kSlots];
    // Release pairs with Push's acquire.
    head_.store(head + 1, std::memory_order_release);
    return true;
  }

  // For the pushing thread: true if the next Push would fail.
  [[nodiscard]] bool Full() const {
    return tail_.load(std::memory_order_relaxed) - head_.load(std::memory_order_acquire) == kSlots;
  }

 private:
  alignas(64) std::atomic<uint32_t> tail_{0};
  alignas(64) std::atomic<uint32_t> head_{0};
  alignas(64) std::array<T, kSlots> slots_{};
};

}  // namespace sluice
