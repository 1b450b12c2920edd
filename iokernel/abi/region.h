// region.h - the layout of the memory that the IOKernel shares with one app.
//
// The IOKernel makes the region (a sealed memfd), computes every offset from its own copy of the
// Geometry, and never reads the header back. The app trusts the header: it is the app's own IOKernel.
//
//   header | app line | kthread 0: block, rx ring, tx ring, fill ring | kthread 1 ... | RX buffers | TX buffers
//
// TX buffers are grouped by kthread: slot n of kthread k's TX ring owns buffer k * tx_slots + n.
// A region belongs to one attach epoch; nothing that must survive a restart lives only here.
// tests/unit/abi/layout_test.cc pins this file.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "iokernel/abi/grant.h"
#include "iokernel/abi/lrpc.h"
#include "iokernel/abi/version.h"

namespace sluice::abi {

inline constexpr uint32_t kMaxKthreads = 1024;
inline constexpr uint32_t kMinRingSlots = 16;
inline constexpr uint32_t kMaxRingSlots = 1u << 16;
inline constexpr uint32_t kMaxRxBuffers = 1u << 20;
inline constexpr uint32_t kMaxBufferSize = 16384;
inline constexpr size_t kRegionPage = 4096;

// Sizes from which everything follows. Ring sizes are powers of two; fill_slots >= rx_buffers, so that
// returning a buffer never fails.
struct Geometry {
  uint32_t kthreads = 0;
  uint32_t rx_slots = 1024;
  uint32_t tx_slots = 256;
  uint32_t fill_slots = 4096;
  uint32_t rx_buffers = 4096;
  uint32_t buffer_size = 2048;  // bytes; RX and TX alike, at least the MTU
};

// Written by the IOKernel before the app maps it; constant afterwards.
struct RegionHeader {
  uint64_t magic;
  uint32_t version;
  uint32_t header_bytes;
  uint64_t features;  // Feature bits in force
  uint64_t epoch;     // attach epoch
  uint64_t bytes;     // of the whole region
  uint64_t tsc_hz;
  Geometry geometry;
  uint32_t address;  // IPv4, host order
  uint32_t prefix_bits;
  uint32_t mtu;
  uint32_t delivery;     // Delivery
  uint32_t shared_cpus;  // 1: several core slots share a CPU; never spin before parking
  uint32_t reserved0;
  uint8_t toeplitz_key[40];  // the key of RxPacket::hash
  uint8_t reserved[120];
};
static_assert(sizeof(RegionHeader) == 256);

// Written by the app: any of its threads.
struct alignas(64) AppLine {
  std::atomic<uint32_t> kick;  // raised after a push into the app's inbox from a thread that is no kthread
  uint32_t reserved[15];
};
static_assert(sizeof(AppLine) == 64);

// Head positions written back for flow control, by whoever consumes the ring.
struct alignas(64) ConsumerLine {
  std::atomic<uint32_t> head0;
  std::atomic<uint32_t> head1;
  uint32_t reserved[14];
};
static_assert(sizeof(ConsumerLine) == 64);

// Counters of the runtime, shown by `sluicectl stat`. Written by the kthread; believed by nobody.
struct alignas(64) RuntimeCounters {
  std::atomic<uint64_t> rx_packets;    // taken from RX rings by this kthread, own and stolen
  std::atomic<uint64_t> rx_stolen;     // of these, from another kthread's ring
  std::atomic<uint64_t> uthreads_run;  // switches into a uthread
  std::atomic<uint64_t> uthreads_stolen;
  std::atomic<uint64_t> parks;
  std::atomic<uint64_t> preemptions;      // parked inside a signal handler
  std::atomic<uint64_t> tx_full;          // sends refused because the TX ring was full
  std::atomic<uint64_t> drop_checksum;    // IP, UDP, TCP or ICMP checksum wrong
  std::atomic<uint64_t> drop_malformed;   // shorter or longer than its headers say
  std::atomic<uint64_t> drop_fragment;    // fragments are not reassembled
  std::atomic<uint64_t> drop_no_socket;   // no socket on that port
  std::atomic<uint64_t> drop_queue_full;  // the socket's receive queue was full
  std::atomic<uint64_t> drop_protocol;    // an IP protocol this runtime does not speak
  std::atomic<uint64_t> slices;           // turns of uthreads that ended because a time slice was over
  std::atomic<uint64_t> reserved[2];
};
static_assert(sizeof(RuntimeCounters) == 128);

// One per kthread.
struct KthreadBlock {
  SignalLine signal;            // app
  GrantLine grant;              // IOKernel
  ConsumerLine app_heads;       // app: head0 = RX ring
  ConsumerLine iokernel_heads;  // IOKernel: head0 = TX ring, head1 = fill ring
  RuntimeCounters counters;     // app
};
static_assert(sizeof(KthreadBlock) == 384);
static_assert(offsetof(KthreadBlock, grant) == 64 && offsetof(KthreadBlock, app_heads) == 128);
static_assert(offsetof(KthreadBlock, iokernel_heads) == 192 && offsetof(KthreadBlock, counters) == 256);

// Where everything is, for a given geometry. Plain arithmetic, no memory touched.
class RegionLayout {
 public:
  constexpr RegionLayout() = default;
  explicit constexpr RegionLayout(const Geometry& g) : geometry_(g) {
    rx_ring_ = sizeof(KthreadBlock);
    tx_ring_ = rx_ring_ + size_t{g.rx_slots} * sizeof(LrpcSlot);
    fill_ring_ = tx_ring_ + size_t{g.tx_slots} * sizeof(LrpcSlot);
    kthread_bytes_ = RoundUp(fill_ring_ + size_t{g.fill_slots} * sizeof(LrpcSlot));
    rx_buffers_ = RoundUp(kKthreads + kthread_bytes_ * g.kthreads);
    tx_buffers_ = RoundUp(rx_buffers_ + size_t{g.rx_buffers} * g.buffer_size);
    bytes_ = RoundUp(tx_buffers_ + size_t{g.kthreads} * g.tx_slots * g.buffer_size);
  }

  // True if every field is within its bounds; only then may a layout be computed from foreign numbers.
  static constexpr bool Valid(const Geometry& g) {
    return g.kthreads >= 1 && g.kthreads <= kMaxKthreads && Ring(g.rx_slots) && Ring(g.tx_slots) &&
           (g.fill_slots & (g.fill_slots - 1)) == 0 && g.fill_slots >= g.rx_buffers && g.fill_slots <= kMaxRxBuffers &&
           g.rx_buffers >= 1 && g.buffer_size >= 64 && g.buffer_size <= kMaxBufferSize && g.buffer_size % 64 == 0;
  }

  [[nodiscard]] constexpr const Geometry& geometry() const { return geometry_; }
  [[nodiscard]] constexpr size_t bytes() const { return bytes_; }

  [[nodiscard]] RegionHeader* Header(std::byte* base) const { return At<RegionHeader>(base, 0); }
  [[nodiscard]] AppLine* App(std::byte* base) const { return At<AppLine>(base, kAppLine); }
  [[nodiscard]] KthreadBlock* Kthread(std::byte* base, uint32_t k) const { return At<KthreadBlock>(base, Base(k)); }
  [[nodiscard]] LrpcSlot* RxRing(std::byte* base, uint32_t k) const { return At<LrpcSlot>(base, Base(k) + rx_ring_); }
  [[nodiscard]] LrpcSlot* TxRing(std::byte* base, uint32_t k) const { return At<LrpcSlot>(base, Base(k) + tx_ring_); }
  [[nodiscard]] LrpcSlot* FillRing(std::byte* base, uint32_t k) const {
    return At<LrpcSlot>(base, Base(k) + fill_ring_);
  }
  [[nodiscard]] std::byte* RxBuffer(std::byte* base, uint32_t buffer) const {
    return base + rx_buffers_ + size_t{buffer} * geometry_.buffer_size;
  }
  [[nodiscard]] std::byte* TxBuffer(std::byte* base, uint32_t k, uint32_t slot) const {
    return base + tx_buffers_ + (size_t{k} * geometry_.tx_slots + slot) * geometry_.buffer_size;
  }

 private:
  static constexpr size_t kAppLine = sizeof(RegionHeader);
  static constexpr size_t kKthreads = kRegionPage;

  static constexpr size_t RoundUp(size_t bytes) { return (bytes + kRegionPage - 1) & ~(kRegionPage - 1); }
  static constexpr bool Ring(uint32_t slots) {
    return (slots & (slots - 1)) == 0 && slots >= kMinRingSlots && slots <= kMaxRingSlots;
  }
  [[nodiscard]] constexpr size_t Base(uint32_t k) const { return kKthreads + kthread_bytes_ * k; }
  template <class T>
  static T* At(std::byte* base, size_t offset) {
    return reinterpret_cast<T*>(base + offset);
  }

  Geometry geometry_;
  size_t rx_ring_ = 0, tx_ring_ = 0, fill_ring_ = 0, kthread_bytes_ = 0;
  size_t rx_buffers_ = 0, tx_buffers_ = 0, bytes_ = 0;
};

}  // namespace sluice::abi
