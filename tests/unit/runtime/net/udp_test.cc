// udp_test.cc - what sluice/udp.h promises.
#include "sluice/udp.h"

#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <vector>

#include "runtime/net/udp_ports.h"
#include "tests/unit/runtime/net/app.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;

TEST(Udp, RecvFromCopiesAndCutsWhatDoesNotFit) {
  FakeDaemon daemon;
  RunApp(daemon, [&] {
    auto socket = UdpSocket::Bind({0, 7});
    ASSERT_TRUE(socket);
    const Packet payload = Payload(100);
    ASSERT_TRUE(daemon.Inject(UdpPacket(7, payload)) && daemon.Inject(UdpPacket(7, payload)));
    Packet buffer(60);
    Endpoint from;
    EXPECT_EQ(socket->RecvFrom(buffer, &from), 60u);
    EXPECT_EQ(from, kPeer);
    EXPECT_TRUE(std::equal(buffer.begin(), buffer.end(), payload.begin()));
    buffer.resize(200);
    EXPECT_EQ(socket->RecvFrom(buffer), 100u);
    EXPECT_TRUE(Eventually([&] { return daemon.AllBuffersBack(); }));
  });
}

TEST(Udp, ADatagramSaysHowItTravelled) {
  FakeDaemon daemon;
  RunApp(daemon, [&] {
    auto socket = UdpSocket::Bind({0, 7});
    ASSERT_TRUE(socket);
    ASSERT_TRUE(daemon.Inject(UdpPacket(7, Payload(4)), 1, 0, 0xdecade));
    const auto datagram = socket->Recv();
    ASSERT_TRUE(datagram);
    EXPECT_EQ(datagram->steered_kthread(), 1);
    EXPECT_EQ(datagram->flow_hash(), 0xdecadeu);
    EXPECT_LT(Datagram::executing_kthread(), daemon.options().kthreads);
  });
  EXPECT_EQ(Datagram::executing_kthread(), 0xffff);
}

TEST(Udp, ADatagramOutlivesItsSocketAndCanBeReleasedByAnyThread) {
  FakeDaemon daemon;
  RunApp(daemon, [&] {
    auto socket = UdpSocket::Bind({0, 7});
    ASSERT_TRUE(socket);
    ASSERT_TRUE(daemon.Inject(UdpPacket(7, Payload(4))));
    auto datagram = socket->Recv();
    ASSERT_TRUE(datagram);
    socket->Close();
    EXPECT_EQ(Copy(datagram->payload()), Payload(4));
    EXPECT_EQ(daemon.buffers_held(), 1u);
    Blocking([&] { datagram->Release(); });
    EXPECT_TRUE(datagram->payload().empty());
    EXPECT_TRUE(Eventually([&] { return daemon.AllBuffersBack(); }));
  });
}

TEST(Udp, APortHasOneSocket) {
  FakeDaemon daemon;
  RunApp(daemon, [&] {
    auto first = UdpSocket::Bind({0, 7});
    ASSERT_TRUE(first);
    const auto second = UdpSocket::Bind({kAppAddress, 7});
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error(), Error::kAddressInUse);
    first->Shutdown();
    EXPECT_TRUE(UdpSocket::Bind({0, 7}));
    const auto foreign = UdpSocket::Bind({kPeerAddress, 8});
    ASSERT_FALSE(foreign);
    EXPECT_EQ(foreign.error(), Error::kInvalid);
  });
}

TEST(Udp, EphemeralPortsAreDistinctAndRunOut) {
  FakeDaemon daemon;
  RunApp(daemon, [&] {
    std::vector<UdpSocket> sockets;
    std::set<uint16_t> ports;
    for (int i = 0; i < 65536 - 49152; ++i) {
      auto socket = UdpSocket::Bind({});
      ASSERT_TRUE(socket) << i;
      EXPECT_GE(socket->local().port, 49152);
      ports.insert(socket->local().port);
      sockets.push_back(std::move(*socket));
    }
    EXPECT_EQ(ports.size(), sockets.size());
    const auto one_more = UdpSocket::Bind({});
    ASSERT_FALSE(one_more);
    EXPECT_EQ(one_more.error(), Error::kNoPorts);
    const uint16_t freed = sockets.back().local().port;
    sockets.pop_back();
    const auto again = UdpSocket::Bind({});
    ASSERT_TRUE(again);
    EXPECT_EQ(again->local().port, freed);
  });
}

TEST(Udp, AConnectedSocketHearsItsPeerOnly) {
  FakeDaemon daemon;
  RunApp(daemon, [&] {
    auto socket = UdpSocket::Bind({0, 7});
    ASSERT_TRUE(socket);
    EXPECT_EQ(socket->Send(Payload(1)).error(), Error::kNotConnected);
    for (const Endpoint wrong : {Endpoint{0, 1}, Endpoint{kPeerAddress, 0}, Endpoint{0xe0000001, 1},
                                 Endpoint{0x0a0000ff, 1}, Endpoint{0x0a000000, 1}, Endpoint{0x7f000001, 1}}) {
      EXPECT_EQ(socket->Connect(wrong).error(), Error::kInvalid) << ToString(wrong);
      EXPECT_EQ(socket->SendTo(Payload(1), wrong).error(), Error::kInvalid) << ToString(wrong);
    }
    ASSERT_TRUE(socket->Connect(kPeer));
    EXPECT_EQ(socket->remote(), kPeer);
    ASSERT_TRUE(daemon.Inject(UdpPacket(7, Payload(1), {kPeerAddress, 4001})));
    ASSERT_TRUE(daemon.Inject(UdpPacket(7, Payload(2), {kPeerAddress + 9, 4000})));
    ASSERT_TRUE(daemon.Inject(UdpPacket(7, Payload(3))));
    const auto datagram = socket->Recv();
    ASSERT_TRUE(datagram);
    EXPECT_EQ(datagram->payload().size(), 3u);
    EXPECT_EQ(daemon.Count(&abi::RuntimeCounters::drop_no_socket), 2u);
    EXPECT_EQ(socket->Send(datagram->payload()), 3u);
    EXPECT_EQ(socket->stats().sent, 1u);
  });
}

TEST(Udp, AFullQueueDropsAndCounts) {
  FakeDaemon daemon;
  RunApp(daemon, [&] {
    auto socket = UdpSocket::Bind({0, 7}, {.queue_limit = 4});
    ASSERT_TRUE(socket);
    for (uint8_t i = 0; i < 10; ++i) ASSERT_TRUE(daemon.Inject(UdpPacket(7, Payload(1, i))));
    ASSERT_TRUE(Eventually([&] { return socket->stats().queue_full == 6; }));
    EXPECT_EQ(daemon.Count(&abi::RuntimeCounters::drop_queue_full), 6u);
    for (uint8_t i = 0; i < 4; ++i) {
      const auto datagram = socket->Recv(milliseconds(0));
      ASSERT_TRUE(datagram);
      EXPECT_EQ(datagram->payload()[0], std::byte{i});
    }
    EXPECT_EQ(socket->Recv(milliseconds(0)).error(), Error::kTimedOut);
    EXPECT_EQ(socket->stats().received, 4u);
    EXPECT_TRUE(Eventually([&] { return daemon.AllBuffersBack(); }));
  });
}

TEST(Udp, ATimeoutEndsTheWaitAndNothingElse) {
  FakeDaemon daemon;
  RunApp(daemon, [&] {
    auto socket = UdpSocket::Bind({0, 7});
    ASSERT_TRUE(socket);
    EXPECT_EQ(socket->Recv(milliseconds(1)).error(), Error::kTimedOut);
    EXPECT_EQ(socket->Recv(milliseconds(-5)).error(), Error::kTimedOut);
    ASSERT_TRUE(daemon.Inject(UdpPacket(7, Payload(5))));
    const auto datagram = socket->Recv(std::chrono::minutes(10));
    ASSERT_TRUE(datagram);
    EXPECT_EQ(datagram->payload().size(), 5u);
  });
}

TEST(Udp, ATimeoutOfCenturiesWaits) {
  FakeDaemon daemon;
  RunApp(daemon, [&] {
    auto socket = UdpSocket::Bind({0, 7});
    ASSERT_TRUE(socket);
    Thread late([&] {
      Sleep(std::chrono::milliseconds(1));
      socket->Shutdown();
    });
    EXPECT_EQ(socket->Recv(kForever - std::chrono::nanoseconds(1)).error(), Error::kClosed);
  });
}

TEST(Udp, ShutdownWakesAllReceiversAndFreesThePort) {
  FakeDaemon daemon;
  RunApp(daemon, [&] {
    auto socket = UdpSocket::Bind({0, 7});
    ASSERT_TRUE(socket);
    std::atomic<int> closed{0};
    std::vector<Thread> receivers;
    receivers.reserve(8);
    for (int i = 0; i < 8; ++i) {
      receivers.emplace_back([&] { closed += socket->Recv().error() == Error::kClosed ? 1 : 0; });
    }
    Sleep(milliseconds(1));
    Blocking([&] { socket->Shutdown(); });  // from a plain pthread
    for (Thread& receiver : receivers) receiver.Join();
    EXPECT_EQ(closed, 8);
    EXPECT_EQ(socket->SendTo(Payload(1), kPeer).error(), Error::kClosed);
    EXPECT_EQ(socket->Connect(kPeer).error(), Error::kClosed);
    EXPECT_EQ(socket->Recv().error(), Error::kClosed);
    EXPECT_EQ(socket->Serve([](const Datagram&) {}), Error::kClosed);
    socket->Close();
    EXPECT_EQ(socket->Recv().error(), Error::kClosed);
  });
}

TEST(Udp, WhatIsQueuedGoesBackWhenTheSocketIsClosed) {
  FakeDaemon daemon;
  RunApp(daemon, [&] {
    auto socket = UdpSocket::Bind({0, 7});
    ASSERT_TRUE(socket);
    for (int i = 0; i < 9; ++i) ASSERT_TRUE(daemon.Inject(UdpPacket(7, Payload(9))));
    ASSERT_TRUE(Eventually([&] { return socket->stats().received == 9; }));
    EXPECT_EQ(daemon.buffers_held(), 9u);
    socket->Close();
    EXPECT_TRUE(Eventually([&] { return daemon.AllBuffersBack(); }));
  });
}

TEST(Udp, AClosedPortIsUsedAgainAShutOneIsNot) {
  FakeDaemon daemon;
  RunApp(daemon, [&] {
    const auto first = net::OpenPort(7, {});
    ASSERT_TRUE(first);
    net::ShutPort(*first);
    const auto second = net::OpenPort(7, {});
    ASSERT_TRUE(second);
    EXPECT_NE(*second, *first);
    net::ClosePort(*second);
    const auto third = net::OpenPort(8, {});
    ASSERT_TRUE(third);
    EXPECT_EQ(*third, *second);
    net::ClosePort(*third);
    net::ClosePort(*first);
  });
}

TEST(Udp, SeveralReceiversGetEachDatagramOnce) {
  FakeDaemon daemon;
  RunApp(daemon, [&] {
    constexpr uint32_t kDatagrams = 400;
    auto socket = UdpSocket::Bind({0, 7});
    ASSERT_TRUE(socket);
    std::vector<std::atomic<int>> seen(kDatagrams);
    std::vector<Thread> receivers;
    receivers.reserve(4);
    for (int i = 0; i < 4; ++i) {
      receivers.emplace_back([&] {
        while (const auto datagram = socket->Recv()) ++seen[abi::LoadBe32(datagram->payload().data())];
      });
    }
    for (uint32_t n = 0; n < kDatagrams; ++n) {
      Packet payload(4);
      StoreNumber(&payload, n);
      ASSERT_TRUE(daemon.Inject(UdpPacket(7, payload), n % 2));
    }
    EXPECT_TRUE(Eventually(
        [&] { return std::all_of(seen.begin(), seen.end(), [](const auto& times) { return times == 1; }); }));
    socket->Shutdown();
  });
}

}  // namespace
}  // namespace sluice
