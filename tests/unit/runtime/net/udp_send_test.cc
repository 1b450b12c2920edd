// udp_send_test.cc - what leaves a UDP socket: the bytes, the sizes, and the wait for room.
#include <gtest/gtest.h>

#include <set>

#include "runtime/net/transmit.h"
#include "sluice/udp.h"
#include "tests/unit/runtime/net/app.h"

namespace sluice {
namespace {

// The reply to `kPeer` that an app must have sent, given the id it chose.
Packet ExpectedReply(uint16_t port, const Packet& payload, uint16_t id) {
  Packet udp(abi::kUdpHeaderBytes + payload.size());
  if (!payload.empty()) std::memcpy(udp.data() + abi::kUdpHeaderBytes, payload.data(), payload.size());
  abi::WriteUdp(udp.data(), {kAppAddress, kPeer.address, port, kPeer.port, static_cast<uint16_t>(payload.size())});
  Packet packet(abi::kIpv4HeaderBytes);
  abi::Ipv4Fields ip;
  ip.source = kAppAddress;
  ip.destination = kPeer.address;
  ip.payload_bytes = static_cast<uint16_t>(udp.size());
  ip.id = id;
  ip.protocol = abi::kProtocolUdp;
  abi::WriteIpv4(packet.data(), ip);
  packet.insert(packet.end(), udp.begin(), udp.end());
  return packet;
}

TEST(Udp, RepliesAreRightByteForByteAtEverySize) {
  FakeDaemon daemon;
  RunApp(daemon, [&] {
    auto socket = UdpSocket::Bind({0, 7});
    ASSERT_TRUE(socket);
    EXPECT_EQ(socket->local(), (Endpoint{kAppAddress, 7}));
    EXPECT_EQ(UdpSocket::MaxPayload(), 1472u);
    for (size_t bytes = 0; bytes <= 1472; bytes += bytes < 40 || bytes > 1460 ? 1 : 71) {
      const Packet payload = Payload(bytes, static_cast<uint8_t>(bytes));
      ASSERT_TRUE(daemon.Inject(UdpPacket(7, payload)));
      auto datagram = socket->Recv();
      ASSERT_TRUE(datagram);
      EXPECT_EQ(Copy(datagram->payload()), payload);
      EXPECT_EQ(datagram->source(), kPeer);
      const auto sent = socket->SendTo(datagram->payload(), datagram->source());
      ASSERT_TRUE(sent) << ToString(sent.error());
      EXPECT_EQ(*sent, bytes);
      const auto reply = AwaitSent(daemon);
      ASSERT_TRUE(reply);
      const auto ip = abi::ParseIpv4(*reply);
      ASSERT_TRUE(ip);
      EXPECT_EQ(*reply, ExpectedReply(7, payload, ip->id())) << bytes;
      EXPECT_EQ(ip->ttl(), 64);
      EXPECT_TRUE(ip->dont_fragment());
    }
  });
}

TEST(Udp, WhatTheMtuDoesNotAllowIsRefused) {
  FakeDaemon daemon;
  RunApp(daemon, [&] {
    auto socket = UdpSocket::Bind({0, 7});
    ASSERT_TRUE(socket);
    EXPECT_EQ(socket->SendTo(Payload(1473), kPeer).error(), Error::kMessageTooBig);
    EXPECT_EQ(socket->SendTo(Payload(1472), kPeer), 1472u);
    EXPECT_EQ(AwaitSent(daemon)->size(), 1500u);
  });
}

TEST(Udp, RoomInTheTransmitRingIsWaitedForThoughNotForEver) {
  FakeDaemon daemon;
  RunApp(daemon, [&] {
    net::TransmitWait wait;
    EXPECT_TRUE(wait.Again());
    EXPECT_TRUE(Eventually([&] { return !wait.Again(); }));
    EXPECT_EQ(daemon.Count(&abi::RuntimeCounters::tx_full), 1u);
  });
}

TEST(Udp, AFullTransmitRingIsWaitedForThenReported) {
  FakeDaemon daemon;
  RunApp(daemon, [&] {
    auto socket = UdpSocket::Bind({0, 7});
    ASSERT_TRUE(socket);
    auto held = daemon.HoldTransmit();
    Packet payload(4);
    uint32_t accepted = 0;
    for (;; ++accepted) {
      StoreNumber(&payload, accepted);
      const auto sent = socket->SendTo(payload, kPeer);
      if (sent) continue;
      EXPECT_EQ(sent.error(), Error::kQueueFull);
      break;
    }
    // One ring's worth, or both kthreads' if the uthread was stolen meanwhile.
    EXPECT_GE(accepted, daemon.options().tx_slots);
    EXPECT_EQ(daemon.Count(&abi::RuntimeCounters::tx_full), 1u);
    EXPECT_EQ(socket->stats().sent, accepted);
    held.unlock();
    std::set<uint32_t> came;
    for (uint32_t n = 0; n < accepted; ++n) {
      const auto packet = AwaitSent(daemon);
      ASSERT_TRUE(packet);
      came.insert(abi::LoadBe32(packet->data() + 28));
    }
    EXPECT_EQ(came.size(), accepted);
    EXPECT_EQ(*came.rbegin(), accepted - 1);
  });
}

}  // namespace
}  // namespace sluice
