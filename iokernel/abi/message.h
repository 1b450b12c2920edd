// message.h - what the 64-bit command and payload of an lrpc message mean on each ring of a kthread.
//
//   ring   direction          command                              payload
//   rx     IOKernel -> app    type | flags | length                buffer | flow hash
//   tx     app -> IOKernel    type | flags | length                (0)
//   fill   app -> IOKernel    type                                 buffer
//
// A TX message has no buffer index: slot n of a kthread's TX ring owns TX buffer n of that kthread, so
// consuming the slot is the completion, and there is nothing to allocate or to forge.
//
// Command bits: 0-7 type, 8-15 flags, 16-31 length, 32-39 pool (0 today), 40-62 zero, 63 the ring's.
#pragma once

#include <cstdint>

#include "iokernel/abi/lrpc.h"

namespace sluice::abi {

enum class MessageType : uint8_t {
  kNone = 0,
  kRxPacket = 1,    // rx: an IPv4 packet in RX buffer `buffer`
  kTxPacket = 2,    // tx: an IPv4 packet in the TX buffer of this slot
  kFillBuffer = 3,  // fill: RX buffer `buffer` is free again
  // Reserved for Hermes (ABI version 1 leaves room; see version.h):
  kUthreadReady = 16,
  kUthreadRun = 17,
  kUthreadPark = 18,
  kUthreadAck = 19,
  kFlowInstall = 32,
};

enum RxFlag : uint8_t {
  kRxL4ChecksumGood = 1 << 0,  // the port has verified the UDP or TCP checksum; else the app must
};

struct RxPacket {
  uint32_t buffer = 0;  // index into the app's RX buffers
  uint32_t hash = 0;    // Toeplitz hash of the flow
  uint16_t length = 0;  // bytes of the IP packet
  uint8_t flags = 0;    // RxFlag
};

struct TxPacket {
  uint16_t length = 0;
  uint8_t flags = 0;
};

constexpr MessageType TypeOf(const LrpcMessage& m) { return static_cast<MessageType>(m.command & 0xff); }

constexpr LrpcMessage Encode(const RxPacket& p) {
  return {static_cast<uint64_t>(MessageType::kRxPacket) | uint64_t{p.flags} << 8 | uint64_t{p.length} << 16,
          uint64_t{p.hash} << 32 | p.buffer};
}
constexpr RxPacket DecodeRx(const LrpcMessage& m) {
  return {static_cast<uint32_t>(m.payload), static_cast<uint32_t>(m.payload >> 32),
          static_cast<uint16_t>(m.command >> 16), static_cast<uint8_t>(m.command >> 8)};
}

constexpr LrpcMessage Encode(const TxPacket& p) {
  return {static_cast<uint64_t>(MessageType::kTxPacket) | uint64_t{p.flags} << 8 | uint64_t{p.length} << 16, 0};
}
constexpr TxPacket DecodeTx(const LrpcMessage& m) {
  return {static_cast<uint16_t>(m.command >> 16), static_cast<uint8_t>(m.command >> 8)};
}

constexpr LrpcMessage EncodeFill(uint32_t buffer) { return {static_cast<uint64_t>(MessageType::kFillBuffer), buffer}; }
constexpr uint64_t DecodeFill(const LrpcMessage& m) { return m.payload; }  // to be bounds-checked as 64 bits

}  // namespace sluice::abi
