// recorder.cc - see recorder.h.
#include "iokernel/brain/recorder.h"

#include <algorithm>

#include "iokernel/abi/check.h"

namespace sluice {

using record::RecordType;

bool Recorder::Start() {
  // Acquire pairs with TurnNow: the last recording is complete.
  if (!ended_.load(std::memory_order_acquire)) return false;
  if (shared_head_.load(std::memory_order_relaxed) != shared_tail_.load(std::memory_order_acquire)) return false;
  if (ring_ == nullptr)
    ring_ = std::make_unique<std::byte[]>(kRingBytes + kOverhang);  // written once: no page faults in the loop
  ended_.store(false, std::memory_order_relaxed);
  records_.store(0, std::memory_order_relaxed);
  dropped_.store(0, std::memory_order_relaxed);
  // Release pairs with Turn.
  wanted_.store(wanted_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  return true;
}

void Recorder::Stop() {
  uint32_t now = wanted_.load(std::memory_order_relaxed);
  // It fails if another thread has stopped meanwhile.
  if (now % 2 != 0) wanted_.compare_exchange_strong(now, now + 1, std::memory_order_release, std::memory_order_relaxed);
}

size_t Recorder::Read(std::span<std::byte> out) {
  const uint64_t head = shared_head_.load(std::memory_order_relaxed);
  // Acquire pairs with Publish.
  const size_t there = shared_tail_.load(std::memory_order_acquire) - head;
  const size_t bytes = std::min(there, out.size());
  if (bytes == 0) return 0;
  const size_t at = head % kRingBytes;
  const size_t first = std::min(bytes, kRingBytes - at);
  std::memcpy(out.data(), ring_.get() + at, first);
  if (first < bytes) std::memcpy(out.data() + first, ring_.get(), bytes - first);
  // Release pairs with Room: the bytes have been read.
  shared_head_.store(head + bytes, std::memory_order_release);
  return bytes;
}

bool Recorder::TurnNow(Ticks now) {
  turn_++;
  if (on()) {
    missing_ = 0;
    return true;
  }
  if (missing_ > 0) PutDropped(now);
  record::RecordEnd end{{RecordType::kEnd, record::kNobody, sizeof end, now}, record::EndReason::kStopped, 0};
  std::memcpy(ring_.get() + tail_ % kRingBytes, &end, sizeof end);
  Publish(sizeof end, 0);
  // Release pairs with Start and ended().
  ended_.store(true, std::memory_order_release);
  return false;
}

bool Recorder::Room(size_t bytes) {
  if (kRingBytes - (tail_ - head_) >= bytes) return true;
  // Acquire pairs with Read.
  head_ = shared_head_.load(std::memory_order_acquire);
  return kRingBytes - (tail_ - head_) >= bytes;
}

void Recorder::PutDropped(Ticks now) {
  record::RecordDropped gap{{RecordType::kDropped, record::kNobody, sizeof gap, now}, missing_};
  std::memcpy(ring_.get() + tail_ % kRingBytes, &gap, sizeof gap);
  Publish(sizeof gap, 0);
  missing_ = 0;
}

std::byte* Recorder::Reserve(size_t most, Ticks now) {
  SLUICE_CHECK(most <= kOverhang, "more at once than the ring's overhang");
  const size_t gap = missing_ > 0 ? sizeof(record::RecordDropped) : 0;
  if (!Room(most + gap + kReserve)) [[unlikely]]
    return nullptr;
  if (gap > 0) PutDropped(now);
  return ring_.get() + tail_ % kRingBytes;
}

std::vector<std::byte> MakeFileHeader(const AllocatorOptions& options, uint64_t tsc_hz, Ticks start,
                                      uint64_t start_unix_ns) {
  record::FileHeader header{};
  header.magic = record::kRecordMagic;
  header.version = record::kRecordVersion;
  header.cores = static_cast<uint16_t>(options.cores.size());
  header.header_bytes = static_cast<uint32_t>(sizeof(header) + options.cores.size() * sizeof(record::CoreEntry));
  header.tsc_hz = tsc_hz;
  header.start_ticks = start;
  header.start_unix_ns = start_unix_ns;
  header.interval_ticks = options.interval;
  header.cede_grace_ticks = options.cede_grace;
  header.cede_resend_ticks = options.cede_resend;
  header.cede_give_up_ticks = options.cede_give_up;
  header.grants_per_pass = options.grants_per_pass;
  header.nic_node = options.nic_node;
  header.shared_cpus = options.shared_cpus ? 1 : 0;
  options.pick.copy(header.pick.data(), header.pick.size() - 1);
  options.congestion.copy(header.congestion.data(), header.congestion.size() - 1);
  options.placement.copy(header.placement.data(), header.placement.size() - 1);
  std::vector<std::byte> bytes(header.header_bytes);
  std::memcpy(bytes.data(), &header, sizeof header);
  for (size_t i = 0; i < options.cores.size(); i++) {
    const CoreSpec& core = options.cores[i];
    const record::CoreEntry entry{core.cpu, core.node, core.sibling, 0};
    std::memcpy(bytes.data() + sizeof header + i * sizeof entry, &entry, sizeof entry);
  }
  return bytes;
}

}  // namespace sluice
