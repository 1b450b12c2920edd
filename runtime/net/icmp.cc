// icmp.cc - see icmp.h.
#include "runtime/net/icmp.h"

#include <algorithm>
#include <cstring>

#include "runtime/net/transmit.h"

namespace sluice::net {
namespace {

constexpr uint8_t kDestinationUnreachable = 3;

// RFC 1812, section 4.3.2.3: an error "SHOULD contain as much of the original datagram as possible without the
// length of the ICMP datagram exceeding 576 bytes".
constexpr size_t kMaxErrorBytes = 576;
constexpr size_t kMaxQuotedBytes = kMaxErrorBytes - abi::kIpv4HeaderBytes - abi::kIcmpHeaderBytes;

}  // namespace

void OnIcmp(sched::Kthread& executing, const abi::Ipv4View& ip) {
  abi::RuntimeCounters& counters = executing.counters();
  if (ip.payload().size() >= abi::kIcmpHeaderBytes && abi::Checksum(ip.payload()) != 0) {
    Bump(counters.drop_checksum);
    return;
  }
  const auto echo = abi::ParseIcmpEcho(ip.payload());
  if (echo.fault == abi::WireFault::kTruncated) {
    Bump(counters.drop_malformed);
    return;
  }
  const Stack& stack = TheStack();
  // RFC 1122, section 3.2.2.6: the reply goes to where the request came from, with its data and its id.
  if (!echo || echo->type() != abi::kIcmpEchoRequest || !abi::IsUnicastAddress(ip.source())) {
    Bump(counters.drop_protocol);
    return;
  }
  const auto data = echo->payload();
  const size_t bytes = abi::kIpv4HeaderBytes + abi::kIcmpHeaderBytes + data.size();
  if (bytes > stack.mtu) {
    Bump(counters.drop_malformed);
    return;
  }
  TransmitOrDrop(executing, bytes, [&](std::byte* at, uint16_t id) {
    abi::Ipv4Fields fields;
    fields.source = stack.address;
    fields.destination = ip.source();
    fields.payload_bytes = static_cast<uint16_t>(abi::kIcmpHeaderBytes + data.size());
    fields.id = id;
    fields.protocol = abi::kProtocolIcmp;
    abi::WriteIpv4(at, fields);
    std::byte* icmp = at + abi::kIpv4HeaderBytes;
    std::memcpy(icmp + abi::kIcmpHeaderBytes, data.data(), data.size());
    abi::WriteIcmpEcho(icmp, {abi::kIcmpEchoReply, echo->id(), echo->sequence(), static_cast<uint16_t>(data.size())});
  });
}

size_t UnreachableBytes(std::span<const std::byte> packet) {
  return abi::kIpv4HeaderBytes + abi::kIcmpHeaderBytes + std::min(packet.size(), kMaxQuotedBytes);
}

size_t WriteUnreachable(std::byte* at, uint32_t source, uint32_t destination, uint16_t id, UnreachableCode code,
                        std::span<const std::byte> packet) {
  const size_t bytes = UnreachableBytes(packet);
  abi::Ipv4Fields fields;
  fields.source = source;
  fields.destination = destination;
  fields.payload_bytes = static_cast<uint16_t>(bytes - abi::kIpv4HeaderBytes);
  fields.id = id;
  fields.protocol = abi::kProtocolIcmp;
  fields.tos = 0xc0;  // RFC 1812, section 4.3.2.5: errors have precedence 6, INTERNETWORK CONTROL
  abi::WriteIpv4(at, fields);
  std::byte* icmp = at + abi::kIpv4HeaderBytes;
  abi::StoreByte(icmp, kDestinationUnreachable);
  abi::StoreByte(icmp + 1, static_cast<uint8_t>(code));
  abi::StoreBe16(icmp + 2, 0);
  abi::StoreBe32(icmp + 4, 0);
  std::memcpy(icmp + abi::kIcmpHeaderBytes, packet.data(), bytes - abi::kIpv4HeaderBytes - abi::kIcmpHeaderBytes);
  abi::StoreBe16(icmp + 2, abi::Checksum({icmp, bytes - abi::kIpv4HeaderBytes}));
  return bytes;
}

void SendUnreachable(sched::Kthread& executing, const abi::Ipv4View& ip, UnreachableCode code) {
  Stack& stack = TheStack();
  // RFC 1122, section 3.2.2: no error about a packet that was not sent to this host alone, or whose source is not
  // a single host.
  if (ip.destination() != stack.address || !abi::IsUnicastAddress(ip.source())) return;
  if (!stack.unreachable_limit.Take(abi::ReadTsc())) return;
  TransmitOrDrop(executing, UnreachableBytes(ip.packet()), [&](std::byte* at, uint16_t id) {
    WriteUnreachable(at, stack.address, ip.source(), id, code, ip.packet());
  });
}

}  // namespace sluice::net
