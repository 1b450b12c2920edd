// udp_serve_test.cc - UdpSocket::Serve: a uthread for each datagram, a limit on them, an end that waits for all.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <set>

#include "sluice/udp.h"
#include "tests/unit/runtime/net/app.h"

namespace sluice {
namespace {

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
