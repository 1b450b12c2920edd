// recorder.h - the ring through which the allocator's decisions leave its thread, without a system call or a lock.
//
// One thread calls the allocator and writes; one other thread starts, drains and stops. A record that finds no room
// is counted and dropped, and the log says so at that place; room for the last records is kept back, so every log
// that is drained to the end has its RecordEnd.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "iokernel/brain/allocator.h"
#include "iokernel/brain/record_format.h"

namespace sluice {

class Recorder {
 public:
  static constexpr size_t kRingBytes = size_t{1} << 20;  // it should fit a core's cache

  // --- the draining thread -----------------------------------------------------------------------------
  // False if the last recording has not been drained to its end.
  [[nodiscard]] bool Start();
  // Any thread, any number of times.
  void Stop();
  // Takes what is there, as far as it fits; whole records do not matter to it.
  [[nodiscard]] size_t Read(std::span<std::byte> out);
  // Nothing more will come: RecordEnd is in the ring, or has been read.
  [[nodiscard]] bool ended() const { return ended_.load(std::memory_order_acquire); }

  // Any thread: since the start.
  [[nodiscard]] uint64_t records() const { return records_.load(std::memory_order_relaxed); }
  [[nodiscard]] uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

  // --- the allocator's thread --------------------------------------------------------------------------
  [[nodiscard]] bool on() const { return turn_ % 2 != 0; }
  // Once per pass. True: recording starts here, and a snapshot is due.
  [[nodiscard]] bool Turn(Ticks now) {
    // Acquire pairs with Start: the ring is there.
    if (wanted_.load(std::memory_order_acquire) == turn_) [[likely]]
      return false;
    return TurnNow(now);
  }
  // Completes the head and writes the record.
  template <class R>
  void Put(R record, record::RecordType type, AppId app, Ticks now) {
    record.head = {type, app, sizeof(R), now};
    std::byte* out = Reserve(sizeof(R), now);
    if (out == nullptr) return Miss(1);
    std::memcpy(out, &record, sizeof(R));
    Publish(sizeof(R), 1);
  }
  // Room for `most` bytes of records, to be written in place and then published, or missed if it is null.
  [[nodiscard]] std::byte* Reserve(size_t most, Ticks now);
  void Publish(size_t bytes, uint32_t records) {
    const size_t end = tail_ % kRingBytes + bytes;
    if (end > kRingBytes) [[unlikely]]
      std::memcpy(ring_.get(), ring_.get() + kRingBytes, end - kRingBytes);
    tail_ += bytes;
    records_.store(records_.load(std::memory_order_relaxed) + records, std::memory_order_relaxed);
    // Release pairs with Read: the bytes are there.
    shared_tail_.store(tail_, std::memory_order_release);
  }
  // Has the next lines of the ring on their way while something else is done: they were read by another core last.
  void Warm(size_t bytes) const {
    const std::byte* next = ring_.get() + tail_ % kRingBytes;
    for (size_t ahead = 0; ahead < bytes; ahead += 64) __builtin_prefetch(next + ahead, 1);
  }
  void Miss(uint32_t records) {
    missing_ += records;
    dropped_.store(dropped_.load(std::memory_order_relaxed) + records, std::memory_order_relaxed);
  }

 private:
  // What is written in place may go over the end of the ring by this much, and is then moved to its beginning: the
  // polls of a whole pass, each app and each core in them once.
  static constexpr size_t kOverhang = kMaxApps * sizeof(record::RecordPoll) + kMaxCores * sizeof(record::KthreadSample);
  // Kept back for the last RecordDropped and RecordEnd.
  static constexpr size_t kReserve = sizeof(record::RecordDropped) + sizeof(record::RecordEnd);

  bool TurnNow(Ticks now);
  [[nodiscard]] bool Room(size_t bytes);
  void PutDropped(Ticks now);

  // Written by the draining thread. Starts and stops, in turn: odd while a recording is wanted. The allocator's thread
  // follows one by one, so that what is started and stopped between two passes begins and ends all the same.
  alignas(64) std::atomic<uint32_t> wanted_{0};
  std::atomic<uint64_t> shared_head_{0};
  std::unique_ptr<std::byte[]> ring_;  // made by the first Start

  // Written by the allocator's thread.
  alignas(64) std::atomic<uint64_t> shared_tail_{0};
  std::atomic<bool> ended_{true};
  std::atomic<uint64_t> records_{0};
  std::atomic<uint64_t> dropped_{0};
  uint64_t tail_ = 0;
  uint64_t head_ = 0;     // as last seen
  uint64_t missing_ = 0;  // dropped since the last record that found room
  uint32_t turn_ = 0;     // of wanted_, so far
};

// The start of the file.
[[nodiscard]] std::vector<std::byte> MakeFileHeader(const AllocatorOptions& options, uint64_t tsc_hz, Ticks start,
                                                    uint64_t start_unix_ns);

}  // namespace sluice
