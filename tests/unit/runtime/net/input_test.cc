// input_test.cc - packets that are wrong, fragmented or for nobody: dropped, counted by reason, buffers given back;
// and ICMP's answers, byte by byte.
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "tests/unit/runtime/net/app.h"

namespace sluice {
namespace {

using Counters = abi::RuntimeCounters;
using Counter = std::atomic<uint64_t> Counters::*;

// Everything has been dealt with: the app has all buffers given back, and the last one injected was a good one; what it
// sent has been taken.
void Settle(FakeDaemon& daemon, UdpSocket& socket) {
  ASSERT_TRUE(daemon.Inject(UdpPacket(7, Payload(1))));
  ASSERT_TRUE(socket.Recv());
  ASSERT_TRUE(Eventually([&] { return daemon.AllBuffersBack(); }));
  uint64_t since = 0;
  ASSERT_TRUE(Eventually([&] { return daemon.AllTaken(&since); }));
}

TEST(Input, EveryDropHasItsReason) {
  struct Case {
    const char* what;
    Counter counter;
    std::function<Packet()> make;
  };
  const auto changed = [](size_t at, uint8_t value) {
    return [=] {
      Packet packet = UdpPacket(7, Payload(20));
      packet[at] = std::byte{value};
      MendIpChecksum(&packet);
      return packet;
    };
  };
  const auto cut = [](size_t bytes) {
    return [=] {
      Packet packet = UdpPacket(7, Payload(20));
      packet.resize(bytes);
      return packet;
    };
  };
  const Case cases[] = {
      {"no bytes", &Counters::drop_malformed, cut(0)},
      {"less than a header", &Counters::drop_malformed, cut(19)},
      {"less than its total length", &Counters::drop_malformed, cut(47)},
      {"version 6", &Counters::drop_malformed, changed(0, 0x65)},
      {"a header of 16 bytes", &Counters::drop_malformed, changed(0, 0x44)},
      {"a header longer than the packet", &Counters::drop_malformed, changed(0, 0x4f)},
      {"total length below the header", &Counters::drop_malformed, changed(3, 19)},
      {"no room for UDP's header", &Counters::drop_malformed, changed(3, 27)},
      {"UDP length 7", &Counters::drop_malformed, changed(25, 7)},
      {"UDP length beyond the packet", &Counters::drop_malformed, changed(25, 29)},
      {"a first fragment", &Counters::drop_fragment, changed(6, 0x20)},
      {"a later fragment", &Counters::drop_fragment, changed(7, 0x01)},
      {"SCTP", &Counters::drop_protocol, changed(9, 132)},
      {"TCP", &Counters::drop_protocol, changed(9, 6)},
      {"another port", &Counters::drop_no_socket, [] { return UdpPacket(8, Payload(20)); }},
      {"a flipped bit of payload", &Counters::drop_checksum,
       [] {
         Packet packet = UdpPacket(7, Payload(20));
         packet[40] ^= std::byte{4};
         return packet;
       }},
      {"a wrong IP checksum", &Counters::drop_checksum,
       [] {
         Packet packet = UdpPacket(7, Payload(20));
         packet[10] ^= std::byte{1};
         return packet;
       }},
      {"a ping with a flipped bit", &Counters::drop_checksum,
       [] {
         Packet packet = EchoRequest(1, 1, Payload(20));
         packet[30] ^= std::byte{1};
         return packet;
       }},
      {"an ICMP message of 7 bytes", &Counters::drop_malformed,
       [] { return IpPacket(abi::kProtocolIcmp, Payload(7)); }},
      {"a ping reply", &Counters::drop_protocol,
       [] {
         Packet packet = EchoRequest(1, 1, Payload(20));
         packet[20] = std::byte{0};
         abi::StoreBe16(packet.data() + 22, 0);
         abi::StoreBe16(packet.data() + 22, abi::Checksum({packet.data() + 20, packet.size() - 20}));
         return packet;
       }},
  };
  FakeDaemon daemon;
  RunApp(daemon, [&] {
    auto socket = UdpSocket::Bind({0, 7});
    ASSERT_TRUE(socket);
    const auto drops = [&] {
      uint64_t sum = 0;
      for (const Counter c : {&Counters::drop_checksum, &Counters::drop_malformed, &Counters::drop_fragment,
                              &Counters::drop_no_socket, &Counters::drop_queue_full, &Counters::drop_protocol}) {
        sum += daemon.Count(c);
      }
      return sum;
    };
    for (const Case& c : cases) {
      const uint64_t before = daemon.Count(c.counter);
      const uint64_t all_before = drops();
      ASSERT_TRUE(daemon.Inject(c.make()));
      Settle(daemon, *socket);
      EXPECT_EQ(daemon.Count(c.counter), before + 1) << c.what;
      EXPECT_EQ(drops(), all_before + 1) << c.what;
      EXPECT_EQ(socket->Recv(std::chrono::nanoseconds(0)).error(), Error::kTimedOut) << c.what;
    }
  });
}

TEST(Input, ChecksumsThatNeedNoCheck) {
  FakeDaemon daemon;
  RunApp(daemon, [&] {
    auto socket = UdpSocket::Bind({0, 7});
    ASSERT_TRUE(socket);
    Packet wrong = UdpPacket(7, Payload(20));
    wrong[27] ^= std::byte{1};
    ASSERT_TRUE(daemon.Inject(wrong, 0, abi::kRxL4ChecksumGood));  // the port has checked it
    EXPECT_TRUE(socket->Recv());
    Packet none = UdpPacket(7, Payload(20));
    abi::StoreBe16(none.data() + 26, 0);  // RFC 768: none was generated
    ASSERT_TRUE(daemon.Inject(none));
    EXPECT_TRUE(socket->Recv());
  });
}

TEST(Input, UdpMayBeShorterThanWhatIpCarriesAndIpThanTheFrame) {
  FakeDaemon daemon;
  RunApp(daemon, [&] {
    auto socket = UdpSocket::Bind({0, 7});
    ASSERT_TRUE(socket);
    Packet padded = UdpPacket(7, Payload(5));
    padded.resize(46, std::byte{0xee});  // Ethernet's padding
    ASSERT_TRUE(daemon.Inject(padded));
    EXPECT_EQ(Copy(socket->Recv()->payload()), Payload(5));
    Packet udp = UdpPacket(7, Payload(5));
    udp.erase(udp.begin(), udp.begin() + 20);
    udp.resize(udp.size() + 3);
    ASSERT_TRUE(daemon.Inject(IpPacket(abi::kProtocolUdp, udp)));
    EXPECT_EQ(Copy(socket->Recv()->payload()), Payload(5));
  });
}

TEST(Input, IpOptionsAreSkipped) {
  FakeDaemon daemon;
  RunApp(daemon, [&] {
    auto socket = UdpSocket::Bind({0, 7});
    ASSERT_TRUE(socket);
    Packet packet = UdpPacket(7, Payload(5));
    packet.insert(packet.begin() + 20, 4, std::byte{1});  // four times "no operation"
    packet[0] = std::byte{0x46};
    abi::StoreBe16(packet.data() + 2, static_cast<uint16_t>(packet.size()));
    abi::StoreBe16(packet.data() + 10, 0);
    abi::StoreBe16(packet.data() + 10, abi::Checksum({packet.data(), 24}));
    ASSERT_TRUE(daemon.Inject(packet));
    EXPECT_EQ(Copy(socket->Recv()->payload()), Payload(5));
  });
}

TEST(Input, MessagesThatAreNoPacketsAreCounted) {
  FakeDaemon daemon;
  RunApp(daemon, [&] {
    auto socket = UdpSocket::Bind({0, 7});
    ASSERT_TRUE(socket);
    ASSERT_TRUE(daemon.InjectMessage({0, 0}));
    ASSERT_TRUE(daemon.InjectMessage({static_cast<uint64_t>(abi::MessageType::kUthreadReady), 3}));
    ASSERT_TRUE(daemon.InjectMessage(abi::Encode(abi::RxPacket{daemon.options().rx_buffers, 0, 64, 0})));
    ASSERT_TRUE(daemon.InjectMessage(abi::Encode(abi::RxPacket{0xffffffff, 0, 64, 0})));
    Settle(daemon, *socket);
    EXPECT_EQ(daemon.Count(&Counters::drop_malformed), 4u);
  });
}

// ---- ICMP -----------------------------------------------------------------------------------------

TEST(Icmp, PingsAreAnsweredByteForByte) {
  FakeDaemon daemon;
  RunApp(daemon, [&] {
    for (const size_t bytes : {0, 1, 56, 57, 1472}) {
      ASSERT_TRUE(daemon.Inject(EchoRequest(0x1234, static_cast<uint16_t>(bytes), Payload(bytes))));
      const auto reply = AwaitSent(daemon);
      ASSERT_TRUE(reply);
      const auto ip = abi::ParseIpv4(*reply);
      ASSERT_TRUE(ip);
      EXPECT_TRUE(abi::Ipv4ChecksumGood(*ip));
      EXPECT_EQ(ip->source(), kAppAddress);
      EXPECT_EQ(ip->destination(), kPeerAddress);
      EXPECT_EQ(ip->ttl(), 64);
      Packet icmp(8 + bytes);
      const Packet payload = Payload(bytes);
      std::copy(payload.begin(), payload.end(), icmp.begin() + 8);
      abi::WriteIcmpEcho(icmp.data(),
                         {abi::kIcmpEchoReply, 0x1234, static_cast<uint16_t>(bytes), static_cast<uint16_t>(bytes)});
      EXPECT_EQ(Copy(ip->payload()), icmp);
    }
  });
}

TEST(Icmp, AClosedPortAndAnUnknownProtocolAreUnreachable) {
  FakeDaemon daemon;
  RunApp(daemon, [&] {
    struct {
      Packet packet;
      uint8_t code;
    } cases[] = {{UdpPacket(9, Payload(30)), 3}, {IpPacket(132, Payload(30)), 2}};
    for (const auto& c : cases) {
      ASSERT_TRUE(daemon.Inject(c.packet));
      const auto error = AwaitSent(daemon);
      ASSERT_TRUE(error);
      const auto ip = abi::ParseIpv4(*error);
      ASSERT_TRUE(ip);
      EXPECT_EQ(ip->destination(), kPeerAddress);
      EXPECT_EQ(abi::Checksum(ip->payload()), 0);
      EXPECT_EQ(ip->payload()[0], std::byte{3});
      EXPECT_EQ(ip->payload()[1], std::byte{c.code});
      EXPECT_EQ(Copy(ip->payload().subspan(8)), c.packet);
    }
  });
}

TEST(Icmp, ErrorsAreLimitedTheCountersAreNot) {
  FakeDaemon daemon;
  RunApp(daemon, [&] {
    auto socket = UdpSocket::Bind({0, 7});
    ASSERT_TRUE(socket);
    constexpr uint64_t kPackets = 400;
    for (uint64_t i = 0; i < kPackets; ++i) {
      ASSERT_TRUE(Eventually([&] { return daemon.Inject(UdpPacket(9, Payload(4))); }));
    }
    Settle(daemon, *socket);
    EXPECT_EQ(daemon.Count(&Counters::drop_no_socket), kPackets);
    uint64_t errors = 0;
    while (daemon.Take()) ++errors;
    EXPECT_GE(errors, 50u);  // the burst; on a slow day the rate adds some
    EXPECT_LT(errors, kPackets);
  });
}

TEST(Icmp, NobodyIsTreatedWhoIsNoHost) {
  FakeDaemon daemon;
  RunApp(daemon, [&] {
    auto socket = UdpSocket::Bind({0, 7});
    ASSERT_TRUE(socket);
    ASSERT_TRUE(daemon.Inject(UdpPacket(9, Payload(4), {0xe0000001, 1})));  // from a multicast address
    Packet to_broadcast = UdpPacket(9, Payload(4));
    abi::StoreBe32(to_broadcast.data() + 16, 0x0a0000ff);
    MendIpChecksum(&to_broadcast);
    ASSERT_TRUE(daemon.Inject(to_broadcast, 0, abi::kRxL4ChecksumGood));
    Packet ping = EchoRequest(1, 1, Payload(4));
    abi::StoreBe32(ping.data() + 12, 0xffffffff);
    MendIpChecksum(&ping);
    ASSERT_TRUE(daemon.Inject(ping));
    Settle(daemon, *socket);
    uint64_t since = 0;
    ASSERT_TRUE(Eventually([&] { return daemon.AllTaken(&since); }));
    EXPECT_EQ(daemon.Take(), std::nullopt);
  });
}

}  // namespace
}  // namespace sluice
