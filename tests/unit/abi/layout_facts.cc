// layout_facts.cc - see layout_facts.h.
#include "tests/unit/abi/layout_facts.h"

#include <cstddef>
#include <type_traits>

#include "iokernel/abi/control.h"
#include "iokernel/abi/grant.h"
#include "iokernel/abi/message.h"
#include "iokernel/abi/region.h"
#include "iokernel/abi/toeplitz.h"
#include "iokernel/abi/version.h"

namespace sluice::abi {
namespace {

#define TYPE(type)                                                               \
  static_assert(std::is_standard_layout_v<type>, "offsets must mean something"); \
  facts.Add("sizeof " #type, sizeof(type));                                      \
  facts.Add("alignof " #type, alignof(type))
#define FIELD(type, field)                                  \
  facts.Add(#type "." #field " at", offsetof(type, field)); \
  facts.Add(#type "." #field " bytes", sizeof(type::field))
#define VALUE(value) facts.Add(#value, static_cast<uint64_t>(value))

// The switches name every value, so one that is added to the enum and not here does not compile.
#define NAME(value) \
  case value:       \
    return #value

const char* Name(MessageType type) {
  switch (type) {
    NAME(MessageType::kNone);
    NAME(MessageType::kRxPacket);
    NAME(MessageType::kTxPacket);
    NAME(MessageType::kFillBuffer);
    NAME(MessageType::kUthreadReady);
    NAME(MessageType::kUthreadRun);
    NAME(MessageType::kUthreadPark);
    NAME(MessageType::kUthreadAck);
    NAME(MessageType::kFlowInstall);
  }
  return nullptr;
}

const char* Name(ControlType type) {
  switch (type) {
    NAME(ControlType::kAttach);
    NAME(ControlType::kAttachAnswer);
    NAME(ControlType::kThreadsReady);
    NAME(ControlType::kAnswer);
    NAME(ControlType::kQuery);
    NAME(ControlType::kQueryAnswer);
    NAME(ControlType::kCommand);
  }
  return nullptr;
}

const char* Name(AnswerCode code) {
  switch (code) {
    NAME(AnswerCode::kOk);
    NAME(AnswerCode::kMalformed);
    NAME(AnswerCode::kVersion);
    NAME(AnswerCode::kAddressTaken);
    NAME(AnswerCode::kNoFreeAddress);
    NAME(AnswerCode::kAddressNotOurs);
    NAME(AnswerCode::kNameTaken);
    NAME(AnswerCode::kNoCores);
    NAME(AnswerCode::kNoMemory);
    NAME(AnswerCode::kTooManyApps);
    NAME(AnswerCode::kForeignThread);
    NAME(AnswerCode::kUnknownPolicy);
    NAME(AnswerCode::kPermission);
    NAME(AnswerCode::kDeadline);
    NAME(AnswerCode::kUnknownQuery);
    NAME(AnswerCode::kNotPossible);
  }
  return nullptr;
}

const char* Name(Delivery delivery) {
  switch (delivery) {
    NAME(Delivery::kDirect);
    NAME(Delivery::kIndirect);
    NAME(Delivery::kSemiDirect);
  }
  return nullptr;
}

const char* Name(Feature feature) {
  switch (feature) {
    NAME(kFeatureUthreadEvents);
    NAME(kFeaturePipes);
    NAME(kFeatureFlowInstall);
    NAME(kFeatureRestart);
    NAME(kFeatureKsched);
    NAME(kFeatureSlices);
  }
  return nullptr;
}

constexpr uint32_t kMaxValues = 256;  // of a shared enum

template <class Enum>
void AddValues(Facts& facts) {
  for (uint32_t value = 0; value < kMaxValues; ++value) {
    if (const char* name = Name(static_cast<Enum>(value))) facts.Add(name, value);
  }
}

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
  AddValues<MessageType>(facts);
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

void AddControlMessage(Facts& facts, ControlType type) {
  switch (type) {
    case ControlType::kAttach:
      TYPE(AttachRequest);
      FIELD(AttachRequest, head);
      FIELD(AttachRequest, features);
      FIELD(AttachRequest, name);
      FIELD(AttachRequest, steering);
      FIELD(AttachRequest, address);
      FIELD(AttachRequest, kthreads);
      FIELD(AttachRequest, guaranteed);
      FIELD(AttachRequest, priority);
      FIELD(AttachRequest, flows);
      FIELD(AttachRequest, reserved);
      return;
    case ControlType::kAttachAnswer:
      TYPE(AttachAnswer);
      FIELD(AttachAnswer, head);
      FIELD(AttachAnswer, code);
      FIELD(AttachAnswer, reserved0);
      FIELD(AttachAnswer, sentence);
      FIELD(AttachAnswer, region_bytes);
      FIELD(AttachAnswer, epoch);
      return;
    case ControlType::kThreadsReady:
      TYPE(ThreadsReady);
      FIELD(ThreadsReady, head);
      FIELD(ThreadsReady, epoch);
      FIELD(ThreadsReady, count);
      FIELD(ThreadsReady, reserved0);
      return;
    case ControlType::kAnswer:
      TYPE(Answer);
      FIELD(Answer, head);
      FIELD(Answer, code);
      FIELD(Answer, reserved0);
      FIELD(Answer, sentence);
      return;
    case ControlType::kQuery:
      TYPE(Query);
      FIELD(Query, head);
      FIELD(Query, what);
      return;
    case ControlType::kQueryAnswer:
      TYPE(QueryAnswer);
      FIELD(QueryAnswer, head);
      FIELD(QueryAnswer, code);
      FIELD(QueryAnswer, more);
      return;
    case ControlType::kCommand:
      TYPE(CommandRequest);
      FIELD(CommandRequest, head);
      FIELD(CommandRequest, verb);
      FIELD(CommandRequest, app);
      FIELD(CommandRequest, source);
      FIELD(CommandRequest, destination);
      FIELD(CommandRequest, source_port);
      FIELD(CommandRequest, destination_port);
      FIELD(CommandRequest, home);
      FIELD(CommandRequest, protocol);
      FIELD(CommandRequest, reserved0);
      FIELD(CommandRequest, limit_bytes);
      FIELD(CommandRequest, reserved);
      return;
  }
}

void AddControl(Facts& facts) {
  TYPE(MessageHead);
  FIELD(MessageHead, magic);
  FIELD(MessageHead, version);
  FIELD(MessageHead, type);
  AddValues<ControlType>(facts);
  for (uint32_t type = 0; type < kMaxValues; ++type) AddControlMessage(facts, static_cast<ControlType>(type));
  AddValues<AnswerCode>(facts);
  AddValues<Delivery>(facts);
  VALUE(kMaxName);
  VALUE(kMaxSentence);
  VALUE(kMaxControlMessage);
  VALUE(kMagic);
  for (uint32_t bit = 0; bit < 64; ++bit) {
    if (const char* name = Name(static_cast<Feature>(uint64_t{1} << bit))) facts.Add(name, bit);
  }
}

}  // namespace

Facts AllFacts() {
  Facts facts;
  AddLines(facts);
  AddRegion(facts);
  AddPlaces(facts, Geometry{1, 16, 16, 1, 1, 64});
  AddPlaces(facts, Geometry{7, 1024, 256, 4096, 4096, 2048});
  AddMessages(facts);
  AddControl(facts);
  return facts;
}

}  // namespace sluice::abi
