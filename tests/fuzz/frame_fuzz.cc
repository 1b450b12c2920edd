// frame_fuzz.cc - libFuzzer target: one Ethernet frame through every parser of wire.h.
//
// What must hold for any bytes: no read outside the frame (the sanitizers watch), every view a parser hands out
// lies inside its input, and a header written from what was parsed parses to the same again.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "iokernel/abi/check.h"
#include "iokernel/abi/toeplitz.h"
#include "iokernel/abi/wire.h"

namespace {

using namespace sluice::abi;
using Bytes = std::span<const std::byte>;

const ToeplitzTable toeplitz;
uint64_t sink;

void Touch(Bytes bytes) {
  for (const std::byte b : bytes) sink += static_cast<uint8_t>(b);
}

void CheckInside(Bytes part, Bytes whole) {
  SLUICE_CHECK(part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size(),
               "a view reaches outside its packet");
  Touch(part);
}

void FuzzArp(Bytes packet) {
  const auto arp = ParseArp(packet);
  if (!arp) return;
  std::byte written[kArpBytes];
  ArpFields fields;
  fields.operation = arp->operation();
  fields.sender_mac = arp->sender_mac();
  fields.sender_address = arp->sender_address();
  fields.target_mac = arp->target_mac();
  fields.target_address = arp->target_address();
  WriteArp(written, fields);
  SLUICE_CHECK(std::memcmp(written, packet.data(), kArpBytes) == 0, "ARP does not come back as it was parsed");
}

void FuzzUdp(const Ipv4View& ip) {
  const auto udp = ParseUdp(ip.payload());
  if (!udp) return;
  CheckInside(udp->payload(), ip.payload());
  const bool good = UdpChecksumGood(ip, *udp);
  std::vector<std::byte> written(udp->datagram().begin(), udp->datagram().end());
  UdpFields fields;
  fields.source = ip.source();
  fields.destination = ip.destination();
  fields.source_port = udp->source_port();
  fields.destination_port = udp->destination_port();
  fields.payload_bytes = static_cast<uint16_t>(udp->payload().size());
  WriteUdp(written.data(), fields);
  const auto again = ParseUdp(written);
  SLUICE_CHECK(again && again->checksum() != 0 && UdpChecksumGood(ip, *again), "a written UDP header is not good");
  if (good && udp->checksum() != 0) {
    SLUICE_CHECK(again->checksum() == udp->checksum(), "a good checksum is not the one we compute");
  }
}

void FuzzIcmp(const Ipv4View& ip) {
  const auto icmp = ParseIcmpEcho(ip.payload());
  if (!icmp) return;
  CheckInside(icmp->payload(), ip.payload());
  std::vector<std::byte> written(icmp->message().begin(), icmp->message().end());
  IcmpEchoFields fields;
  fields.type = icmp->type();
  fields.id = icmp->id();
  fields.sequence = icmp->sequence();
  fields.payload_bytes = static_cast<uint16_t>(icmp->payload().size());
  WriteIcmpEcho(written.data(), fields);
  const auto again = ParseIcmpEcho(written);
  SLUICE_CHECK(again && IcmpChecksumGood(*again), "a written ICMP header is not good");
}

void FuzzIpv4(Bytes packet) {
  const auto ip = ParseIpv4(packet);
  if (!ip) return;
  CheckInside(ip->header(), packet);
  CheckInside(ip->packet(), packet);
  CheckInside(ip->payload(), packet);
  sink += Ipv4ChecksumGood(*ip) ? 1 : 0;
  const FlowTuple flow = FlowOf(*ip);
  sink += flow.has_ports ? toeplitz.Hash(flow.source, flow.destination, flow.source_port, flow.destination_port)
                         : toeplitz.Hash(flow.source, flow.destination);
  FuzzUdp(*ip);
  FuzzIcmp(*ip);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // A copy of exactly this size on the heap, so that one byte too far is seen.
  const std::vector<std::byte> bytes(reinterpret_cast<const std::byte*>(data),
                                     reinterpret_cast<const std::byte*>(data) + size);
  const auto frame = ParseEthernet(bytes);
  if (!frame) return 0;
  sink += frame->to_group() ? 1 : 0;
  CheckInside(frame->payload(), bytes);
  // The ether type decides little here: each parser gets each frame.
  FuzzArp(frame->payload());
  FuzzIpv4(frame->payload());
  return 0;
}
