// icmp.h - ICMP (RFC 792): answers echo requests, and tells senders that nobody listens.
//
// Softirq context. Nobody waits for these messages: when the transmit ring is full they are dropped and counted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "iokernel/abi/wire.h"
#include "runtime/sched/kthread.h"

namespace sluice::net {

// RFC 792, "Destination Unreachable Message".
enum class UnreachableCode : uint8_t { kProtocol = 2, kPort = 3 };

void OnIcmp(sched::Kthread& executing, const abi::Ipv4View& ip);

// Sends "destination unreachable" for the packet `ip`, at most 1000 of them per second.
void SendUnreachable(sched::Kthread& executing, const abi::Ipv4View& ip, UnreachableCode code);

// Fills an IP packet with "destination unreachable" and as much of `packet` as it may carry; returns its length,
// at most 576 bytes. `at` has room for that.
size_t WriteUnreachable(std::byte* at, uint32_t source, uint32_t destination, uint16_t id, UnreachableCode code,
                        std::span<const std::byte> packet);
[[nodiscard]] size_t UnreachableBytes(std::span<const std::byte> packet);

}  // namespace sluice::net
