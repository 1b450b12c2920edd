// udp_test.cc - what sluice/udp.h promises.
#include "sluice/udp.h"

#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <thread>
#include <vector>

#include "runtime/net/transmit.h"
#include "runtime/net/udp_ports.h"
#include "tests/unit/runtime/net/app.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;

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

TEST(Udp, ShutdownWakesAllReceiversAndFreesThePort) {
  FakeDaemon daemon;
  RunApp(daemon, [&] {
    auto socket = UdpSocket::Bind({0, 7});
    ASSERT_TRUE(socket);
    std::atomic<int> closed{0};
    std::vector<Thread> receivers;
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

// ---- Serve ----------------------------------------------------------------------------------------

TEST(UdpServe, HandlesEachDatagramInAUthreadOfItsOwn) {
  FakeDaemon daemon;
  RunApp(daemon, [&] {
    auto socket = UdpSocket::Bind({0, 7});
    ASSERT_TRUE(socket);
    // All handlers wait for the last: only uthreads of their own can all be there.
    constexpr uint32_t kRequests = 20;
    WaitGroup all(kRequests);
    Thread server([&] {
      EXPECT_EQ(socket->Serve([&](const Datagram& request) {
        all.Done();
        all.Wait();
        EXPECT_TRUE(socket->SendTo(request.payload(), request.source()));
      }),
                Error::kClosed);
    });
    for (uint32_t n = 0; n < kRequests; ++n) ASSERT_TRUE(daemon.Inject(UdpPacket(7, Payload(n)), n % 2));
    std::set<size_t> sizes;
    for (uint32_t n = 0; n < kRequests; ++n) {
      const auto reply = AwaitSent(daemon);
      ASSERT_TRUE(reply);
      sizes.insert(reply->size() - 28);
    }
    EXPECT_EQ(sizes.size(), kRequests);
    EXPECT_EQ(socket->Serve([](const Datagram&) {}), Error::kInvalid);  // somebody serves already
    socket->Shutdown();
    server.Join();
    EXPECT_TRUE(Eventually([&] { return daemon.AllBuffersBack(); }));
  });
}

TEST(UdpServe, BeginsWithWhatIsQueued) {
  FakeDaemon daemon;
  RunApp(daemon, [&] {
    auto socket = UdpSocket::Bind({0, 7});
    ASSERT_TRUE(socket);
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(daemon.Inject(UdpPacket(7, Payload(8))));
    ASSERT_TRUE(Eventually([&] { return socket->stats().received == 5; }));
    std::atomic<int> handled{0};
    Thread server([&] { (void)socket->Serve([&](const Datagram&) { ++handled; }); });
    EXPECT_TRUE(Eventually([&] { return handled == 5; }));
    socket->Shutdown();
  });
}

TEST(UdpServe, ReturnsAfterTheLastHandlerHasAndLimitsHowManyThereAre) {
  FakeDaemon daemon;
  RunApp(daemon, [&] {
    auto socket = UdpSocket::Bind({0, 7}, {.queue_limit = 3});
    ASSERT_TRUE(socket);
    Semaphore go;
    std::atomic<int> begun{0};
    std::atomic<int> ended{0};
    Thread server([&] {
      (void)socket->Serve([&](const Datagram&) {
        ++begun;
        go.Acquire();
        ++ended;
      });
      EXPECT_EQ(begun, ended);
    });
    // Serving must have begun; until then datagrams go to the queue, which has the same limit.
    uint64_t injected = 0;
    ASSERT_TRUE(Eventually([&] {
      injected += daemon.Inject(UdpPacket(7, Payload(1))) ? 1 : 0;
      return begun > 0 && socket->stats().queue_full > 0;
    }));
    EXPECT_LE(begun, 3 * static_cast<int>(daemon.options().kthreads));
    ASSERT_TRUE(Eventually([&] { return socket->stats().received + socket->stats().queue_full == injected; }));
    socket->Shutdown();
    go.Post(100);
    server.Join();
    EXPECT_EQ(begun, ended);
  });
}

TEST(UdpServe, SurvivesBeingShutUnderTraffic) {
  FakeDaemon daemon;
  RunApp(daemon, [&] {
    std::atomic<bool> stop{false};
    Thread traffic([&] {
      for (uint32_t n = 0; !stop; ++n) {
        if (!daemon.Inject(UdpPacket(7, Payload(8)), n % 2)) Yield();
        if (n % 16 == 0) Yield();
      }
    });
    for (int round = 0; round < 200; ++round) {
      auto socket = UdpSocket::Bind({0, 7});
      ASSERT_TRUE(socket);
      auto handled = std::make_unique<std::atomic<int>>(0);  // freed at once: a late handler would be seen by ASan
      Thread server([&] { (void)socket->Serve([counter = handled.get()](const Datagram&) { ++*counter; }); });
      for (int i = 0; i < 200 && *handled == 0; ++i) Sleep(std::chrono::microseconds(20));
      socket->Shutdown();
      server.Join();
      handled.reset();
    }
    stop = true;
    traffic.Join();
    EXPECT_TRUE(Eventually([&] { return daemon.AllBuffersBack(); }));
  });
}

}  // namespace
}  // namespace sluice
