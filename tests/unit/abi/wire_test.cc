// wire_test.cc - parse and build: what is accepted, what is refused and for which reason.
#include "iokernel/abi/wire.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace sluice::abi {
namespace {

using Bytes = std::vector<std::byte>;
constexpr uint32_t kClient = 10u << 24 | 1, kServer = 10u << 24 | 2;

Bytes Text(const char* text) {
  const auto bytes = std::as_bytes(std::span(text, std::strlen(text)));
  return Bytes(bytes.begin(), bytes.end());
}

Bytes UdpPacket(const Bytes& payload, uint16_t source_port = 4242, uint16_t destination_port = 7) {
  constexpr size_t kHeaders = kIpv4HeaderBytes + kUdpHeaderBytes;
  Bytes packet(kHeaders + payload.size());
  std::copy(payload.begin(), payload.end(), packet.begin() + kHeaders);
  const auto size = static_cast<uint16_t>(payload.size());
  WriteUdp(&packet[kIpv4HeaderBytes], {kClient, kServer, source_port, destination_port, size});
  Ipv4Fields ip;
  ip.source = kClient;
  ip.destination = kServer;
  ip.protocol = kProtocolUdp;
  ip.payload_bytes = static_cast<uint16_t>(kUdpHeaderBytes + size);
  WriteIpv4(packet.data(), ip);
  return packet;
}

TEST(Wire, BigEndianLoadsAndStoresAtAnyAlignment) {
  std::byte bytes[8] = {};
  StoreBe32(bytes + 1, 0x01020304);
  EXPECT_EQ(LoadByte(bytes + 1), 1);
  EXPECT_EQ(LoadByte(bytes + 4), 4);
  EXPECT_EQ(LoadBe32(bytes + 1), 0x01020304u);
  EXPECT_EQ(LoadBe16(bytes + 3), 0x0304);
}

TEST(Wire, EthernetComesBackAsWritten) {
  Bytes frame(kEthernetHeaderBytes + 2);
  const MacAddress from = {2, 0, 0, 0, 0, 1};
  WriteEthernet(frame.data(), kBroadcastMac, from, kEtherTypeArp);
  const auto parsed = ParseEthernet(frame);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->destination(), kBroadcastMac);
  EXPECT_EQ(parsed->source(), from);
  EXPECT_EQ(parsed->ether_type(), kEtherTypeArp);
  EXPECT_TRUE(parsed->to_group());
  EXPECT_EQ(parsed->payload().size(), 2u);
  frame.resize(kEthernetHeaderBytes - 1);
  EXPECT_EQ(ParseEthernet(frame).fault, WireFault::kTruncated);
}

TEST(Wire, ArpComesBackAsWritten) {
  Bytes packet(kArpBytes);
  WriteArp(packet.data(), {kArpReply, {2, 0, 0, 0, 0, 1}, kClient, {2, 0, 0, 0, 0, 2}, kServer});
  const auto arp = ParseArp(packet);
  ASSERT_TRUE(arp);
  EXPECT_EQ(arp->operation(), kArpReply);
  EXPECT_EQ(arp->sender_mac(), (MacAddress{2, 0, 0, 0, 0, 1}));
  EXPECT_EQ(arp->sender_address(), kClient);
  EXPECT_EQ(arp->target_mac(), (MacAddress{2, 0, 0, 0, 0, 2}));
  EXPECT_EQ(arp->target_address(), kServer);
  for (const size_t field : {1u, 2u, 4u, 5u}) {
    Bytes bad = packet;
    bad[field] ^= std::byte{1};
    EXPECT_EQ(ParseArp(bad).fault, WireFault::kFormat) << field;
  }
  EXPECT_EQ(ParseArp(std::span(packet).first(kArpBytes - 1)).fault, WireFault::kTruncated);
}

TEST(Wire, UdpPacketComesBackAsWritten) {
  const Bytes packet = UdpPacket(Text("hello"));
  const auto ip = ParseIpv4(packet);
  ASSERT_TRUE(ip);
  EXPECT_EQ(ip->source(), kClient);
  EXPECT_EQ(ip->destination(), kServer);
  EXPECT_EQ(ip->protocol(), kProtocolUdp);
  EXPECT_EQ(ip->ttl(), kDefaultTtl);
  EXPECT_TRUE(ip->dont_fragment());
  EXPECT_FALSE(ip->fragment());
  EXPECT_TRUE(Ipv4ChecksumGood(*ip));
  const auto udp = ParseUdp(ip->payload());
  ASSERT_TRUE(udp);
  EXPECT_EQ(udp->source_port(), 4242);
  EXPECT_EQ(udp->destination_port(), 7);
  EXPECT_TRUE(UdpChecksumGood(*ip, *udp));
  const Bytes hello = Text("hello");
  EXPECT_TRUE(std::equal(hello.begin(), hello.end(), udp->payload().begin(), udp->payload().end()));
}

TEST(Wire, EveryFlippedBitOfAUdpPacketIsSeen) {
  const Bytes good = UdpPacket(Text("every bit counts"));
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    Bytes bad = good;
    bad[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
    const auto ip = ParseIpv4(bad);
    if (!ip || !Ipv4ChecksumGood(*ip)) continue;
    const auto udp = ParseUdp(ip->payload());
    // A checksum that becomes 0 says "not summed"; no single bit does that to this packet.
    EXPECT_FALSE(udp && UdpChecksumGood(*ip, *udp)) << "bit " << bit;
  }
}

TEST(Wire, PaddingOfTheLinkIsNotPayload) {
  Bytes packet = UdpPacket(Text("x"));
  packet.resize(46, std::byte{0xaa});
  const auto ip = ParseIpv4(packet);
  ASSERT_TRUE(ip);
  EXPECT_EQ(ip->payload().size(), kUdpHeaderBytes + 1);
  const auto udp = ParseUdp(ip->payload());
  ASSERT_TRUE(udp);
  EXPECT_EQ(udp->payload().size(), 1u);
  EXPECT_TRUE(UdpChecksumGood(*ip, *udp));
}

TEST(Wire, Ipv4OptionsAreSkipped) {
  Bytes packet = UdpPacket(Text("opt"));
  packet.insert(packet.begin() + kIpv4HeaderBytes, 4, std::byte{1});  // four NOPs
  StoreByte(&packet[0], 0x46);
  StoreBe16(&packet[2], static_cast<uint16_t>(packet.size()));
  const auto ip = ParseIpv4(packet);
  ASSERT_TRUE(ip);
  EXPECT_EQ(ip->header_bytes(), 24u);
  EXPECT_EQ(ParseUdp(ip->payload())->destination_port(), 7);
}

WireFault FaultWith(size_t offset, uint16_t value) {
  Bytes packet = UdpPacket(Text("fault"));
  StoreBe16(&packet[offset], value);
  return ParseIpv4(packet).fault;
}

TEST(Wire, Ipv4FaultsAreNamed) {
  const Bytes packet = UdpPacket(Text("fault"));
  const auto size = static_cast<uint16_t>(packet.size());
  EXPECT_EQ(ParseIpv4({}).fault, WireFault::kTruncated);
  EXPECT_EQ(ParseIpv4(std::span(packet).first(kIpv4HeaderBytes - 1)).fault, WireFault::kTruncated);
  EXPECT_EQ(ParseIpv4(std::span(packet).first(size - 1)).fault, WireFault::kTotalLength);
  EXPECT_EQ(FaultWith(0, 0x6500), WireFault::kVersion);
  EXPECT_EQ(FaultWith(0, 0x4400), WireFault::kHeaderLength);
  EXPECT_EQ(FaultWith(0, 0x4f00), WireFault::kHeaderLength);  // 60 bytes of header in 33
  EXPECT_EQ(FaultWith(2, 19), WireFault::kTotalLength);
  EXPECT_EQ(FaultWith(2, size + 1), WireFault::kTotalLength);
  EXPECT_EQ(FaultWith(2, kIpv4HeaderBytes), WireFault::kNone);
  EXPECT_EQ(FaultWith(6, 0x2000), WireFault::kFragment);  // more follow
  EXPECT_EQ(FaultWith(6, 0x0001), WireFault::kFragment);  // a later one
  EXPECT_EQ(FaultWith(6, 0x4000), WireFault::kNone);
  EXPECT_EQ(FaultWith(6, 0x8000), WireFault::kNone);  // the reserved bit says nothing
}

TEST(Wire, UdpFaultsAreNamed) {
  Bytes packet = UdpPacket(Text("abc"));
  const auto payload = std::span(packet).subspan(kIpv4HeaderBytes);
  EXPECT_EQ(ParseUdp(payload.first(7)).fault, WireFault::kTruncated);
  for (const uint16_t length : {0, 7, 12, 0xffff}) {
    StoreBe16(&payload[4], length);
    EXPECT_EQ(ParseUdp(payload).fault, WireFault::kLength) << length;
  }
  StoreBe16(&payload[4], 8);
  EXPECT_TRUE(ParseUdp(payload));
  EXPECT_TRUE(ParseUdp(payload)->payload().empty());
}

TEST(Wire, UdpChecksumOfZeroIsSentAsOnesAndMeansNone) {
  // Two payload bytes that make the sum come out as zero.
  Bytes packet = UdpPacket(Bytes(2));
  const uint16_t sum = LoadBe16(&packet[kIpv4HeaderBytes + 6]);
  packet = UdpPacket({static_cast<std::byte>(sum >> 8), static_cast<std::byte>(sum)});
  const auto ip = ParseIpv4(packet);
  const auto udp = ParseUdp(ip->payload());
  EXPECT_EQ(udp->checksum(), 0xffff);
  EXPECT_TRUE(UdpChecksumGood(*ip, *udp));
  StoreBe16(&packet[kIpv4HeaderBytes + 6], 0);
  packet.back() ^= std::byte{1};
  EXPECT_TRUE(UdpChecksumGood(*ip, *udp)) << "nothing was summed, so nothing is wrong";
}

TEST(Wire, IcmpEchoComesBackAsWritten) {
  Bytes message(kIcmpHeaderBytes + 5);
  const Bytes payload = Text("ping!");
  std::copy(payload.begin(), payload.end(), message.begin() + kIcmpHeaderBytes);
  WriteIcmpEcho(message.data(), {kIcmpEchoRequest, 77, 3, 5});
  const auto echo = ParseIcmpEcho(message);
  ASSERT_TRUE(echo);
  EXPECT_EQ(echo->type(), kIcmpEchoRequest);
  EXPECT_EQ(echo->id(), 77);
  EXPECT_EQ(echo->sequence(), 3);
  EXPECT_EQ(echo->payload().size(), 5u);
  EXPECT_TRUE(IcmpChecksumGood(*echo));
  message[8] ^= std::byte{1};
  EXPECT_FALSE(IcmpChecksumGood(*echo));
  StoreByte(&message[0], 3);
  EXPECT_EQ(ParseIcmpEcho(message).fault, WireFault::kNotEcho);
  StoreByte(&message[0], kIcmpEchoReply);
  StoreByte(&message[1], 1);
  EXPECT_EQ(ParseIcmpEcho(message).fault, WireFault::kNotEcho);
  EXPECT_EQ(ParseIcmpEcho(std::span(message).first(7)).fault, WireFault::kTruncated);
}

TEST(Wire, FlowHasPortsWhereTheProtocolHas) {
  Bytes packet = UdpPacket(Text("flow"), 1111, 2222);
  FlowTuple flow = FlowOf(*ParseIpv4(packet));
  EXPECT_TRUE(flow.has_ports);
  EXPECT_EQ(flow.source_port, 1111);
  EXPECT_EQ(flow.destination_port, 2222);
  StoreByte(&packet[9], kProtocolTcp);
  EXPECT_TRUE(FlowOf(*ParseIpv4(packet)).has_ports);
  StoreByte(&packet[9], kProtocolIcmp);
  flow = FlowOf(*ParseIpv4(packet));
  EXPECT_FALSE(flow.has_ports);
  EXPECT_EQ(flow.source_port, 0);
  EXPECT_EQ(flow.source, kClient);
  // Three bytes of UDP: no ports to be read.
  StoreByte(&packet[9], kProtocolUdp);
  StoreBe16(&packet[2], kIpv4HeaderBytes + 3);
  EXPECT_FALSE(FlowOf(*ParseIpv4(packet)).has_ports);
}

TEST(Wire, UnicastAddresses) {
  EXPECT_TRUE(IsUnicastAddress(kClient));
  EXPECT_TRUE(IsUnicastAddress(223u << 24));
  EXPECT_FALSE(IsUnicastAddress(0));
  EXPECT_FALSE(IsUnicastAddress(127u << 24 | 1));
  EXPECT_FALSE(IsUnicastAddress(224u << 24 | 1));
  EXPECT_FALSE(IsUnicastAddress(0xffffffff));
}

TEST(Wire, RandomBytesAreRefusedOrStayInside) {
  std::mt19937_64 random(11);
  for (int i = 0; i < 20000; ++i) {
    Bytes bytes(random() % 80);
    for (std::byte& b : bytes) b = static_cast<std::byte>(random());
    if (!bytes.empty() && random() % 2 == 0) StoreByte(&bytes[0], 0x45);
    const auto ip = ParseIpv4(bytes);
    if (!ip) continue;
    ASSERT_LE(ip->packet().size(), bytes.size());
    ASSERT_EQ(ip->header().size() + ip->payload().size(), ip->packet().size());
    if (const auto udp = ParseUdp(ip->payload())) {
      ASSERT_LE(udp->datagram().size(), ip->payload().size());
    }
  }
}

}  // namespace
}  // namespace sluice::abi
