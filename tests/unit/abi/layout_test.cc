// layout_test.cc - pins everything that two separately built programs must agree on (layout_facts.h).
//
// When the digest differs, what it covers has changed: raise kAbiVersion and add a line to kPinned. Never edit the
// line of a version that has been released.
#include <gtest/gtest.h>

#include <cstddef>
#include <utility>
#include <vector>

#include "iokernel/abi/message.h"
#include "iokernel/abi/region.h"
#include "iokernel/abi/version.h"
#include "tests/unit/abi/layout_facts.h"

namespace sluice::abi {
namespace {

struct Pin {
  uint32_t version;
  uint64_t digest;
};
constexpr Pin kPinned[] = {
    {1, 0xa848980ae3854e39},
};

TEST(Layout, IsPinnedByTheVersion) {
  const Facts facts = AllFacts();
  const Pin* pin = nullptr;
  for (const Pin& candidate : kPinned) {
    if (candidate.version == kAbiVersion) pin = &candidate;
  }
  ASSERT_NE(pin, nullptr) << "ABI version " << kAbiVersion << " is not pinned; add {" << kAbiVersion << ", 0x"
                          << std::hex << facts.Digest() << "}";
  EXPECT_EQ(pin->digest, facts.Digest()) << "the layout of ABI version " << kAbiVersion
                                         << " has changed: raise kAbiVersion and pin 0x" << std::hex << facts.Digest()
                                         << " for it\n"
                                         << facts.text();
}

TEST(Layout, OneWriterPerCacheLine) {
  EXPECT_EQ(offsetof(KthreadBlock, signal) % 64, 0u);
  EXPECT_EQ(offsetof(KthreadBlock, grant) % 64, 0u);
  EXPECT_EQ(offsetof(KthreadBlock, app_heads) % 64, 0u);
  EXPECT_EQ(offsetof(KthreadBlock, iokernel_heads) % 64, 0u);
  EXPECT_EQ(offsetof(KthreadBlock, counters) % 64, 0u);
}

TEST(Layout, PartsDoNotOverlap) {
  for (const Geometry& g : {Geometry{1, 16, 16, 1, 1, 64}, Geometry{3, 64, 16, 128, 100, 2048},
                            Geometry{1024, 1024, 256, 4096, 4096, 2048}}) {
    ASSERT_TRUE(RegionLayout::Valid(g));
    const RegionLayout layout(g);
    alignas(64) static std::byte base[64];
    std::vector<std::pair<size_t, size_t>> parts;  // first byte, bytes
    const auto add = [&](const void* at, size_t bytes) {
      parts.emplace_back(static_cast<size_t>(static_cast<const std::byte*>(at) - base), bytes);
    };
    add(layout.Header(base), sizeof(RegionHeader));
    add(layout.App(base), sizeof(AppLine));
    for (uint32_t k = 0; k < g.kthreads; ++k) {
      add(layout.Kthread(base, k), sizeof(KthreadBlock));
      add(layout.RxRing(base, k), g.rx_slots * sizeof(LrpcSlot));
      add(layout.TxRing(base, k), g.tx_slots * sizeof(LrpcSlot));
      add(layout.FillRing(base, k), g.fill_slots * sizeof(LrpcSlot));
    }
    add(layout.RxBuffer(base, 0), size_t{g.rx_buffers} * g.buffer_size);
    for (uint32_t k = 0; k < g.kthreads; ++k) {
      add(layout.TxBuffer(base, k, 0), size_t{g.tx_slots} * g.buffer_size);
    }
    for (size_t i = 0; i + 1 < parts.size(); ++i) {
      ASSERT_LE(parts[i].first + parts[i].second, parts[i + 1].first) << "part " << i;
    }
    ASSERT_LE(parts.back().first + parts.back().second, layout.bytes());
  }
}

TEST(Layout, ForeignGeometriesAreChecked) {
  const Geometry good{4, 1024, 256, 4096, 4096, 2048};
  EXPECT_TRUE(RegionLayout::Valid(good));
  const auto bad = [&](uint32_t Geometry::*field, uint32_t value) {
    Geometry g = good;
    g.*field = value;
    EXPECT_FALSE(RegionLayout::Valid(g)) << value;
  };
  for (const uint32_t v : {0u, kMaxKthreads + 1, ~0u}) bad(&Geometry::kthreads, v);
  for (const uint32_t v : {0u, 8u, 1000u, kMaxRingSlots * 2, 1u << 31}) {
    bad(&Geometry::rx_slots, v);
    bad(&Geometry::tx_slots, v);
  }
  for (const uint32_t v : {0u, 2048u, 5000u, kMaxRxBuffers * 2, 1u << 31}) bad(&Geometry::fill_slots, v);
  for (const uint32_t v : {0u, 4097u, ~0u}) bad(&Geometry::rx_buffers, v);
  for (const uint32_t v : {0u, 63u, 100u, kMaxBufferSize + 64, ~0u}) bad(&Geometry::buffer_size, v);
}

TEST(Message, ComesBackAsEncoded) {
  const RxPacket rx = DecodeRx(Encode(RxPacket{0xfffffffe, 0x80000001, 65535, 0x81}));
  EXPECT_EQ(rx.buffer, 0xfffffffeu);
  EXPECT_EQ(rx.hash, 0x80000001u);
  EXPECT_EQ(rx.length, 65535);
  EXPECT_EQ(rx.flags, 0x81);
  EXPECT_EQ(TypeOf(Encode(RxPacket{})), MessageType::kRxPacket);
  const TxPacket tx = DecodeTx(Encode(TxPacket{1500, 0xff}));
  EXPECT_EQ(tx.length, 1500);
  EXPECT_EQ(tx.flags, 0xff);
  EXPECT_EQ(TypeOf(Encode(TxPacket{})), MessageType::kTxPacket);
  EXPECT_EQ(DecodeFill(EncodeFill(77)), 77u);
  EXPECT_EQ(TypeOf(EncodeFill(77)), MessageType::kFillBuffer);
  // Bit 63 of the command is the ring's.
  EXPECT_EQ(Encode(RxPacket{~0u, ~0u, 0xffff, 0xff}).command & kLrpcParity, 0u);
}

}  // namespace
}  // namespace sluice::abi
