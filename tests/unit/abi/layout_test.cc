// layout_test.cc - pins everything that two separately built programs must agree on.
//
// The digest covers the size, alignment and field offsets of every shared struct, the values of every shared
// enum and the encodings of messages. When this test fails, what it covers has changed: raise kAbiVersion and
// add a line to kPinned. Never edit the line of a version that has been released.
#include <gtest/gtest.h>

#include <cstddef>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "iokernel/abi/control.h"
#include "iokernel/abi/grant.h"
#include "iokernel/abi/message.h"
#include "iokernel/abi/region.h"
#include "iokernel/abi/toeplitz.h"
#include "iokernel/abi/version.h"

namespace sluice::abi {
namespace {

struct Pin {
  uint32_t version;
  uint64_t digest;
};
constexpr Pin kPinned[] = {
    {1, 0x2faf390918f55861},
};

// The list of facts, as text: what a person compares when the digest differs.
class Facts {
 public:
  void Add(const std::string& name, uint64_t value) { text_ += name + " " + std::to_string(value) + "\n"; }
  [[nodiscard]] const std::string& text() const { return text_; }

  // FNV-1a, 64 bits.
  [[nodiscard]] uint64_t Digest() const {
    uint64_t hash = 0xcbf29ce484222325;
    for (const char c : text_) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
    return hash;
  }

 private:
  std::string text_;
};

#define TYPE(type)                                                               \
  static_assert(std::is_standard_layout_v<type>, "offsets must mean something"); \
  facts.Add("sizeof " #type, sizeof(type));                                      \
  facts.Add("alignof " #type, alignof(type))
#define FIELD(type, field)                                  \
  facts.Add(#type "." #field " at", offsetof(type, field)); \
  facts.Add(#type "." #field " bytes", sizeof(std::declval<type&>().field))
#define VALUE(value) facts.Add(#value, static_cast<uint64_t>(value))

void AddLines(Facts& facts) {
  TYPE(SignalLine);
  FIELD(SignalLine, running);
  FIELD(SignalLine, parked);
  FIELD(SignalLine, rq_head);
  FIELD(SignalLine, rq_tail);
  FIELD(SignalLine, rx_consumed);
  FIELD(SignalLine, kick_seen);
  FIELD(SignalLine, park_flags);
  FIELD(SignalLine, set_aside);
  FIELD(SignalLine, oldest_ready);
  FIELD(SignalLine, busy_ticks);
  FIELD(SignalLine, next_timer);
  FIELD(SignalLine, reserved1);
  TYPE(GrantLine);
  FIELD(GrantLine, generation);
  FIELD(GrantLine, core);
  FIELD(GrantLine, cpu);
  FIELD(GrantLine, cede);
  FIELD(GrantLine, turn_over);
  FIELD(GrantLine, reserved);
  VALUE(kNoTimer);
  VALUE(kParkPreempted);
}

void AddRegion(Facts& facts) {
  TYPE(Geometry);
  FIELD(Geometry, kthreads);
  FIELD(Geometry, rx_slots);
  FIELD(Geometry, tx_slots);
  FIELD(Geometry, fill_slots);
  FIELD(Geometry, rx_buffers);
  FIELD(Geometry, buffer_size);
  TYPE(RegionHeader);
  FIELD(RegionHeader, magic);
  FIELD(RegionHeader, version);
  FIELD(RegionHeader, header_bytes);
  FIELD(RegionHeader, features);
  FIELD(RegionHeader, epoch);
  FIELD(RegionHeader, bytes);
  FIELD(RegionHeader, tsc_hz);
  FIELD(RegionHeader, geometry);
  FIELD(RegionHeader, address);
  FIELD(RegionHeader, prefix_bits);
  FIELD(RegionHeader, mtu);
  FIELD(RegionHeader, delivery);
  FIELD(RegionHeader, shared_cpus);
  FIELD(RegionHeader, reserved0);
  FIELD(RegionHeader, toeplitz_key);
  FIELD(RegionHeader, reserved);
  TYPE(AppLine);
  FIELD(AppLine, kick);
  TYPE(ConsumerLine);
  FIELD(ConsumerLine, head0);
  FIELD(ConsumerLine, head1);
  TYPE(RuntimeCounters);
  FIELD(RuntimeCounters, rx_packets);
  FIELD(RuntimeCounters, rx_stolen);
  FIELD(RuntimeCounters, uthreads_run);
  FIELD(RuntimeCounters, uthreads_stolen);
  FIELD(RuntimeCounters, parks);
  FIELD(RuntimeCounters, preemptions);
  FIELD(RuntimeCounters, tx_full);
  FIELD(RuntimeCounters, drop_checksum);
  FIELD(RuntimeCounters, drop_malformed);
  FIELD(RuntimeCounters, drop_fragment);
  FIELD(RuntimeCounters, drop_no_socket);
  FIELD(RuntimeCounters, drop_queue_full);
  FIELD(RuntimeCounters, drop_protocol);
  FIELD(RuntimeCounters, slices);
  FIELD(RuntimeCounters, reserved);
  TYPE(KthreadBlock);
  FIELD(KthreadBlock, signal);
  FIELD(KthreadBlock, grant);
  FIELD(KthreadBlock, app_heads);
  FIELD(KthreadBlock, iokernel_heads);
  FIELD(KthreadBlock, counters);
  TYPE(LrpcSlot);
  FIELD(LrpcSlot, command);
  FIELD(LrpcSlot, payload);
  VALUE(kLrpcParity);
  VALUE(kMaxKthreads);
  VALUE(kMinRingSlots);
  VALUE(kMaxRingSlots);
  VALUE(kMaxRxBuffers);
  VALUE(kMaxBufferSize);
  VALUE(kRegionPage);
  VALUE(kToeplitzKeyBytes);
}

// Where a layout puts things, seen through the pointers that it hands out.
void AddPlaces(Facts& facts, const Geometry& geometry) {
  const RegionLayout layout(geometry);
  alignas(64) static std::byte base[64];
  const auto place = [](const void* at) { return static_cast<uint64_t>(static_cast<const std::byte*>(at) - base); };
  facts.Add("region bytes", layout.bytes());
  facts.Add("header", place(layout.Header(base)));
  facts.Add("app line", place(layout.App(base)));
  for (const uint32_t k : {0u, geometry.kthreads - 1}) {
    facts.Add("kthread", place(layout.Kthread(base, k)));
    facts.Add("rx ring", place(layout.RxRing(base, k)));
    facts.Add("tx ring", place(layout.TxRing(base, k)));
    facts.Add("fill ring", place(layout.FillRing(base, k)));
    facts.Add("tx buffer", place(layout.TxBuffer(base, k, geometry.tx_slots - 1)));
  }
  facts.Add("rx buffer 0", place(layout.RxBuffer(base, 0)));
  facts.Add("rx buffer last", place(layout.RxBuffer(base, geometry.rx_buffers - 1)));
}

void AddMessages(Facts& facts) {
  VALUE(MessageType::kNone);
  VALUE(MessageType::kRxPacket);
  VALUE(MessageType::kTxPacket);
  VALUE(MessageType::kFillBuffer);
  VALUE(MessageType::kUthreadReady);
  VALUE(MessageType::kUthreadRun);
  VALUE(MessageType::kUthreadPark);
  VALUE(MessageType::kUthreadAck);
  VALUE(MessageType::kFlowInstall);
  VALUE(kRxL4ChecksumGood);
  const LrpcMessage rx = Encode(RxPacket{0x01020304, 0x05060708, 0x090a, 0x0b});
  facts.Add("rx command", rx.command);
  facts.Add("rx payload", rx.payload);
  const LrpcMessage tx = Encode(TxPacket{0x0102, 0x03});
  facts.Add("tx command", tx.command);
  facts.Add("tx payload", tx.payload);
  const LrpcMessage fill = EncodeFill(0x01020304);
  facts.Add("fill command", fill.command);
  facts.Add("fill payload", fill.payload);
}

void AddControl(Facts& facts) {
  TYPE(MessageHead);
  FIELD(MessageHead, magic);
  FIELD(MessageHead, version);
  FIELD(MessageHead, type);
  TYPE(AttachRequest);
  FIELD(AttachRequest, features);
  FIELD(AttachRequest, name);
  FIELD(AttachRequest, steering);
  FIELD(AttachRequest, address);
  FIELD(AttachRequest, kthreads);
  FIELD(AttachRequest, guaranteed);
  FIELD(AttachRequest, priority);
  FIELD(AttachRequest, flows);
  FIELD(AttachRequest, reserved);
  TYPE(AttachAnswer);
  FIELD(AttachAnswer, code);
  FIELD(AttachAnswer, reserved0);
  FIELD(AttachAnswer, sentence);
  FIELD(AttachAnswer, region_bytes);
  FIELD(AttachAnswer, epoch);
  TYPE(ThreadsReady);
  FIELD(ThreadsReady, epoch);
  FIELD(ThreadsReady, count);
  FIELD(ThreadsReady, reserved0);
  TYPE(Answer);
  FIELD(Answer, code);
  FIELD(Answer, reserved0);
  FIELD(Answer, sentence);
  TYPE(Query);
  FIELD(Query, what);
  TYPE(QueryAnswer);
  FIELD(QueryAnswer, code);
  FIELD(QueryAnswer, more);
  VALUE(ControlType::kAttach);
  VALUE(ControlType::kAttachAnswer);
  VALUE(ControlType::kThreadsReady);
  VALUE(ControlType::kAnswer);
  VALUE(ControlType::kQuery);
  VALUE(ControlType::kQueryAnswer);
  VALUE(AnswerCode::kOk);
  VALUE(AnswerCode::kMalformed);
  VALUE(AnswerCode::kVersion);
  VALUE(AnswerCode::kAddressTaken);
  VALUE(AnswerCode::kNoFreeAddress);
  VALUE(AnswerCode::kAddressNotOurs);
  VALUE(AnswerCode::kNameTaken);
  VALUE(AnswerCode::kNoCores);
  VALUE(AnswerCode::kNoMemory);
  VALUE(AnswerCode::kTooManyApps);
  VALUE(AnswerCode::kForeignThread);
  VALUE(AnswerCode::kUnknownPolicy);
  VALUE(AnswerCode::kPermission);
  VALUE(AnswerCode::kDeadline);
  VALUE(AnswerCode::kUnknownQuery);
  VALUE(kMagic);
  VALUE(kFeatureUthreadEvents);
  VALUE(kFeaturePipes);
  VALUE(kFeatureFlowInstall);
  VALUE(kFeatureRestart);
  VALUE(Delivery::kDirect);
  VALUE(Delivery::kIndirect);
  VALUE(Delivery::kSemiDirect);
}

TEST(Layout, IsPinnedByTheVersion) {
  Facts facts;
  AddLines(facts);
  AddRegion(facts);
  AddPlaces(facts, Geometry{1, 16, 16, 1, 1, 64});
  AddPlaces(facts, Geometry{7, 1024, 256, 4096, 4096, 2048});
  AddMessages(facts);
  AddControl(facts);

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
