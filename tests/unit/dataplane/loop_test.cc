// Attach, detach, notices, the control thread's share, and the two sums under random traffic.
#include <random>
#include <thread>

#include "tests/unit/dataplane/world.h"

namespace sluice::test {
namespace {

TEST(Loop, AnIdTakenByDetachIsFreeAgainWithANewEpoch) {
  World world;
  for (int epoch = 0; epoch < 5; ++epoch) {
    PlayedApp& app = world.AttachRunning({});
    world.port.in.push_back(UdpFrame());
    world.Step();
    EXPECT_EQ(app.ReceiveAll(), 1u);
    world.Detach(0);
  }
}

TEST(Loop, DetachOfAnUnknownAppIsAnsweredWithNone) {
  World world;
  ASSERT_TRUE(world.loop->Post({CommandKind::kDetach, 7, nullptr}));
  world.Step();
  Reply reply;
  ASSERT_TRUE(world.loop->NextReply(&reply));
  EXPECT_EQ(reply.app, nullptr);
  EXPECT_EQ(reply.id, 7);
}

TEST(Loop, AnAppThatGoesIsNoLongerReached) {
  World world;
  PlayedApp& app = world.AttachRunning({});
  const uint64_t before = app.counters().rx_packets.Get();
  world.Detach(0);
  world.port.in.push_back(UdpFrame());
  world.Step();
  EXPECT_EQ(world.drops(LinkDrop::kNoApp), 1u);
  EXPECT_EQ(app.counters().rx_packets.Get(), before);
}

TEST(Loop, CommandsAreTakenUnderAnyLoad) {
  World world;
  PlayedApp& app = world.AttachRunning({});
  for (int i = 0; i < 100'000; ++i) world.port.in.push_back(UdpFrame());
  ASSERT_TRUE(world.loop->Post({CommandKind::kDetach, 0, nullptr}));
  Reply reply;
  int iterations = 0;
  const Ticks start = world.now;
  while (!world.loop->NextReply(&reply)) {
    world.now += 1000;
    world.loop->Once(world.now);
    ++iterations;
  }
  EXPECT_FALSE(world.port.in.empty());
  EXPECT_LE(world.now - start, 6000u) << iterations << " iterations";
  EXPECT_EQ(reply.app, app.app.get());
  world.port.in.clear();
}

TEST(Loop, RunStopsAndAnotherThreadMayTalkToIt) {
  World world;
  PlayedApp app({});
  std::thread dataplane([&] { world.loop->Run(); });
  ASSERT_TRUE(world.loop->Post({CommandKind::kAttach, 0, app.app.get()}));
  Reply reply;
  while (!world.loop->NextReply(&reply)) std::this_thread::yield();
  EXPECT_EQ(reply.app, app.app.get());
  ASSERT_TRUE(world.loop->Post({CommandKind::kDetach, 0, nullptr}));
  while (!world.loop->NextReply(&reply)) std::this_thread::yield();
  EXPECT_EQ(reply.app, app.app.get());
  EXPECT_GT(world.loop->counters().iterations.Get(), 0u);
  world.loop->Stop();
  dataplane.join();
}

TEST(Loop, AnUnresponsiveAppIsReportedOnce) {
  LoopOptions options;
  options.allocator.cores = {{0, 0, kNoCore}};
  options.allocator.interval = 5000;
  options.allocator.cede_grace = 10'000;
  options.allocator.cede_resend = 10'000;
  options.allocator.cede_give_up = 100'000;
  options.rate = abi::TickRate(1'000'000'000);
  ListPort port;
  NullBackend backend;
  Loop loop(options, port, backend);
  PlayedApp stubborn({.id = 0, .address = kAppA, .kthreads = 1});
  PlayedApp other({.id = 1, .address = kAppB, .kthreads = 1, .guaranteed = 1});
  Ticks now = 1'000'000;
  const auto step = [&] { loop.Once(now += 5000); };
  ASSERT_TRUE(loop.Post({CommandKind::kAttach, 0, stubborn.app.get()}));
  step();
  port.in.push_back(UdpFrame({.destination = kAppA}));
  step();
  ASSERT_TRUE(stubborn.Start(0));  // has the only core, and never gives it back
  ASSERT_TRUE(loop.Post({CommandKind::kAttach, 1, other.app.get()}));
  step();
  port.in.push_back(UdpFrame({.destination = kAppB}));
  Notice notice;
  int notices = 0;
  for (int i = 0; i < 2000; ++i) {
    step();
    while (loop.NextNotice(&notice)) {
      ++notices;
      EXPECT_EQ(notice.kind, Notice::Kind::kUnresponsive);
      EXPECT_EQ(notice.id, 0);
    }
  }
  EXPECT_EQ(notices, 1);
  EXPECT_TRUE(other.Start(0)) << "it has what it was guaranteed";
}

// Random frames, good and bad, and random packets of apps: every one is accounted for.
class Accounts : public ::testing::TestWithParam<uint32_t> {};

TEST_P(Accounts, HoldUnderRandomTraffic) {
  std::mt19937 random(GetParam());
  const auto below = [&](uint32_t n) { return random() % n; };
  World world({.routes = {{{0, 0}, Ip(10, 0, 0, 254)}}});
  const char* const steerings[] = {"rss", "round-robin", "flow-affinity"};
  for (AppId id = 0; id < 3; ++id) {
    world.Attach({.id = id, .address = kAppA + id, .kthreads = 3, .steering = steerings[id]});
  }
  const auto address = [&] {
    const uint32_t known[] = {kOwn,  kAppA,          kAppA + 1,         kAppA + 2,
                              kPeer, Ip(8, 8, 8, 8), Ip(10, 0, 0, 255), Ip(224, 0, 0, 1)};
    return known[below(8)];
  };
  for (int step = 0; step < 3000; ++step) {
    for (uint32_t i = below(20); i > 0; --i) {
      Bytes frame;
      switch (below(4)) {
        case 0:
          frame = ArpFrame({static_cast<uint16_t>(1 + below(2)), kPeerMac, address(), {}, address()},
                           below(2) == 0 ? kPortMac : abi::kBroadcastMac);
          break;
        default:
          frame = UdpFrame({.source = address(),
                            .destination = address(),
                            .source_port = static_cast<uint16_t>(below(100)),
                            .payload_bytes = static_cast<uint16_t>(below(1480))});
      }
      // A third of them are damaged.
      if (below(3) == 0) frame[below(static_cast<uint32_t>(frame.size()))] ^= static_cast<std::byte>(1 << below(8));
      if (below(10) == 0) frame.resize(below(static_cast<uint32_t>(frame.size())));
      world.port.in.push_back(std::move(frame));
    }
    for (const auto& app : world.apps) {
      for (uint32_t k = 0; k < 3; ++k) {
        app->Start(k);
        if (below(3) != 0) continue;
        while (below(4) != 0 && app->Receive(k)) {
        }
        for (uint32_t i = below(6); i > 0; --i) {
          Bytes packet = UdpPacket({.source = below(8) == 0 ? address() : app->app->params().address,
                                    .destination = address(),
                                    .payload_bytes = static_cast<uint16_t>(below(1472))});
          if (below(8) == 0) packet[below(20)] ^= static_cast<std::byte>(1 << below(8));
          (void)app->Send(k, packet);
        }
      }
    }
    if (below(50) == 0) world.port.takes = below(10);
    if (below(20) == 0) world.port.takes = ~uint64_t{0};
    world.now += below(1'000'000);
    world.Step();
    world.port.out.clear();
  }
  world.port.takes = ~uint64_t{0};
  while (!world.port.in.empty()) world.Step();
  world.ExpectAccounts();
  uint64_t delivered = 0;
  for (const auto& app : world.apps) delivered += app->counters().rx_packets.Get();
  EXPECT_GT(delivered, 1000u);
}

INSTANTIATE_TEST_SUITE_P(Seeds, Accounts, ::testing::Range(1u, 9u));

}  // namespace
}  // namespace sluice::test
