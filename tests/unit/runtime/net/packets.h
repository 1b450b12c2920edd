// packets.h - IPv4 packets as a peer makes them, right or wrong.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "iokernel/abi/wire.h"
#include "sluice/net.h"

namespace sluice {

using Packet = std::vector<std::byte>;

inline constexpr uint32_t kAppAddress = 0x0a000002;
inline constexpr uint32_t kPeerAddress = 0x0a000001;
inline constexpr Endpoint kPeer{kPeerAddress, 4000};

inline Packet Payload(size_t bytes, uint8_t seed = 1) {
  Packet payload(bytes);
  for (size_t i = 0; i < bytes; ++i) payload[i] = static_cast<std::byte>(i * 31 + seed);
  return payload;
}

inline Packet IpPacket(uint8_t protocol, const Packet& payload, uint32_t source = kPeerAddress) {
  Packet packet(abi::kIpv4HeaderBytes + payload.size());
  abi::Ipv4Fields ip;
  ip.source = source;
  ip.destination = kAppAddress;
  ip.payload_bytes = static_cast<uint16_t>(payload.size());
  ip.protocol = protocol;
  abi::WriteIpv4(packet.data(), ip);
  if (!payload.empty()) std::memcpy(packet.data() + abi::kIpv4HeaderBytes, payload.data(), payload.size());
  return packet;
}

inline Packet UdpPacket(uint16_t port, const Packet& payload, Endpoint source = kPeer) {
  Packet udp(abi::kUdpHeaderBytes + payload.size());
  if (!payload.empty()) std::memcpy(udp.data() + abi::kUdpHeaderBytes, payload.data(), payload.size());
  abi::WriteUdp(udp.data(), {source.address, kAppAddress, source.port, port, static_cast<uint16_t>(payload.size())});
  return IpPacket(abi::kProtocolUdp, udp, source.address);
}

inline Packet EchoRequest(uint16_t id, uint16_t sequence, const Packet& payload) {
  Packet icmp(abi::kIcmpHeaderBytes + payload.size());
  if (!payload.empty()) std::memcpy(icmp.data() + abi::kIcmpHeaderBytes, payload.data(), payload.size());
  abi::WriteIcmpEcho(icmp.data(), {abi::kIcmpEchoRequest, id, sequence, static_cast<uint16_t>(payload.size())});
  return IpPacket(abi::kProtocolIcmp, icmp);
}

// Makes the header's checksum right again after a test has changed the header.
inline void MendIpChecksum(Packet* packet) {
  abi::StoreBe16(packet->data() + 10, 0);
  abi::StoreBe16(packet->data() + 10, abi::Checksum({packet->data(), abi::kIpv4HeaderBytes}));
}

inline void StoreNumber(Packet* payload, uint32_t number) { abi::StoreBe32(payload->data(), number); }

}  // namespace sluice
