// buffer_pool.h - the RX buffers of one app that the IOKernel has now.
//
// An app returns buffers by index on its fill rings. Every buffer has an owner bit here, so an index that does
// not exist or that is free already is refused, whatever the app writes.
//
// Thread: the dataplane loop. Invariant: a buffer is in `free_` exactly when its bit is set.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace sluice {

// Which free buffer is used next. Last in, first out keeps the set of cache lines in use small.
enum class BufferOrder : uint8_t { kLifo, kFifo };

class BufferPool {
 public:
  BufferPool() = default;
  BufferPool(uint32_t buffers, BufferOrder order);

  [[nodiscard]] uint32_t free() const { return tail_ - head_; }
  [[nodiscard]] uint32_t buffers() const { return buffers_; }

  // Takes up to out.size() buffers; returns how many.
  [[nodiscard]] uint32_t Take(std::span<uint32_t> out);

  enum class PutResult : uint8_t { kOk, kIndex, kDouble };
  // Returns a buffer that the app says it is done with; nothing happens unless kOk.
  [[nodiscard]] PutResult Put(uint64_t index);

 private:
  [[nodiscard]] uint64_t Bit(uint32_t index) const { return uint64_t{1} << (index % 64); }

  // A circular array of a power-of-two size; positions count modulo 2^32.
  std::vector<uint32_t> free_;
  std::vector<uint64_t> owned_;
  uint32_t mask_ = 0;
  uint32_t head_ = 0;
  uint32_t tail_ = 0;
  uint32_t buffers_ = 0;
  BufferOrder order_ = BufferOrder::kLifo;
};

// ---------------------------------------------------------------------------------------------------

inline BufferPool::BufferPool(uint32_t buffers, BufferOrder order) : buffers_(buffers), order_(order) {
  uint32_t size = 1;
  while (size < buffers) size *= 2;
  free_.resize(size);
  mask_ = size - 1;
  owned_.resize((buffers + 63) / 64);
  for (uint32_t i = 0; i < buffers; ++i) {
    free_[i] = i;
    owned_[i / 64] |= Bit(i);
  }
  tail_ = buffers;
}

inline uint32_t BufferPool::Take(std::span<uint32_t> out) {
  const auto wanted = static_cast<uint32_t>(out.size());
  const uint32_t count = wanted < free() ? wanted : free();
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t index = free_[(order_ == BufferOrder::kLifo ? --tail_ : head_++) & mask_];
    owned_[index / 64] &= ~Bit(index);
    out[i] = index;
  }
  return count;
}

inline BufferPool::PutResult BufferPool::Put(uint64_t index) {
  if (index >= buffers_) [[unlikely]]
    return PutResult::kIndex;
  const auto buffer = static_cast<uint32_t>(index);
  uint64_t& word = owned_[buffer / 64];
  if ((word & Bit(buffer)) != 0) [[unlikely]]
    return PutResult::kDouble;
  word |= Bit(buffer);
  free_[tail_++ & mask_] = buffer;
  return PutResult::kOk;
}

}  // namespace sluice
