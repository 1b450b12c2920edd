// An app that does what no runtime of ours would: the loop and the other app do not care.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <random>

#include "tests/unit/dataplane/world.h"

namespace sluice::test {
namespace {

// A victim with a neighbour: after each step of mischief the neighbour must still be served.
struct Hostile : ::testing::Test {
  Hostile()
      : bad(world.AttachRunning({.id = 0, .address = kAppA, .kthreads = 3})),
        good(world.AttachRunning({.id = 1, .address = kAppB, .kthreads = 1})) {
    world.Introduce();
    good_start = good.counters().rx_packets.Get();
  }

  void ExpectGoodServed() {
    world.port.in.push_back(UdpFrame({.destination = kAppA}));
    world.port.in.push_back(UdpFrame({.destination = kAppB}));
    ASSERT_TRUE(good.Send(0, UdpPacket({.source = kAppB, .destination = kPeer})));
    world.Step();
    ASSERT_EQ(good.ReceiveAll(), 1u);
    ++served;
    uint64_t sent = 0;
    for (const Bytes& frame : world.port.out) {
      const auto ip = abi::ParseIpv4(std::span(frame).subspan(abi::kEthernetHeaderBytes));
      if (!ip) continue;  // ARP
      // Whatever the bad one does, nothing goes out in another's name.
      ASSERT_TRUE(ip->source() == kAppA || ip->source() == kAppB);
      sent += ip->source() == kAppB ? 1 : 0;
    }
    ASSERT_EQ(sent, 1u);
    world.port.out.clear();
  }

  std::span<std::byte> BadRegion() { return {bad.app->base(), bad.app->region_bytes()}; }
  // Everything of kthread k that the app may write: lines, rings.
  std::span<std::byte> BadKthread(uint32_t k) {
    std::byte* const begin = reinterpret_cast<std::byte*>(bad.kthreads[k].block);
    std::byte* const end = reinterpret_cast<std::byte*>(bad.app->layout().FillRing(bad.app->base(), k)) + 256 * 16;
    return {begin, end};
  }

  World world;
  PlayedApp& bad;
  PlayedApp& good;
  uint64_t good_start = 0;
  uint64_t served = 0;
};

TEST_F(Hostile, ScribblesOverItsWholeRegion) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 300; ++round) {
    auto region = BadRegion();
    for (size_t at = 0; at + 8 <= region.size(); at += 8) {
      // Sometimes sparse, sometimes all of it.
      if (round % 3 != 0 && random() % 16 != 0) continue;
      const uint64_t value = random();
      std::memcpy(region.data() + at, &value, 8);
    }
    for (int step = 0; step < 10; ++step) ASSERT_NO_FATAL_FAILURE(ExpectGoodServed());
  }
  EXPECT_EQ(good.all_drops(), 0u);
  EXPECT_EQ(good.counters().rx_packets.Get() - good_start, served);
}

// Nearly right: messages with the right parity and type, edge values in the fields.
TEST_F(Hostile, WritesPlausibleRubbishIntoItsRings) {
  std::mt19937_64 random(2);
  constexpr uint64_t kEdges[] = {0, 1, 19, 20, 46, 255, 256, 1500, 1501, 2048, 65535, ~uint64_t{0}, uint64_t{1} << 32};
  for (int round = 0; round < 3000; ++round) {
    for (uint32_t k = 0; k < 3; ++k) {
      auto& io = bad.kthreads[k];
      for (int i = 0; i < 20; ++i) {
        const uint64_t type = random() % 8 == 0 ? random() % 256 : 2 + random() % 2;
        const uint64_t command = type | kEdges[random() % std::size(kEdges)] << 16;
        (void)(random() % 2 == 0 ? io.tx : io.fill).Send(command, kEdges[random() % std::size(kEdges)]);
      }
      // Heads, acknowledgements and parks of generations that never were.
      if (random() % 8 == 0) io.block->app_heads.head0.store(static_cast<uint32_t>(random()));
      if (random() % 8 == 0) io.block->signal.rx_consumed.store(static_cast<uint32_t>(random()));
      if (random() % 16 == 0) io.block->signal.parked.store(io.block->grant.generation.load());
      if (random() % 16 == 0) io.block->signal.running.store(static_cast<uint32_t>(random()));
      if (random() % 16 == 0) io.block->signal.next_timer.store(random());
    }
    ASSERT_NO_FATAL_FAILURE(ExpectGoodServed());
  }
  EXPECT_EQ(good.all_drops(), 0u);
  EXPECT_GT(bad.drops(AppDrop::kTxLength), 0u);
  EXPECT_GT(bad.drops(AppDrop::kFillIndex), 0u);
  EXPECT_GT(bad.drops(AppDrop::kFillDouble), 0u);
}

TEST_F(Hostile, PunchesHolesIntoItsRegion) {
  std::mt19937 random(3);
  const size_t pages = bad.app->region_bytes() / 4096;
  const uint64_t full = bad.app->resident_bytes();
  EXPECT_GE(full, bad.app->region_bytes());
  for (int round = 0; round < 500; ++round) {
    const bool everything = round % 10 == 0;
    const size_t first = everything ? 0 : random() % pages;
    const size_t bytes = (everything ? pages : 1) * 4096;
    ASSERT_EQ(fallocate(bad.app->region_fd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                        static_cast<off_t>(first * 4096), static_cast<off_t>(bytes)),
              0);
    if (everything) {
      EXPECT_LT(bad.app->resident_bytes(), full);
    }
    for (int step = 0; step < 4; ++step) ASSERT_NO_FATAL_FAILURE(ExpectGoodServed());
  }
  EXPECT_EQ(good.all_drops(), 0u);
}

TEST_F(Hostile, CannotChangeTheSizeOfItsRegion) {
  const int fd = bad.app->region_fd();
  EXPECT_NE(ftruncate(fd, 0), 0);
  EXPECT_NE(ftruncate(fd, static_cast<off_t>(bad.app->region_bytes() * 2)), 0);
  EXPECT_NE(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
  ExpectGoodServed();
}

// Memory that cannot be had back: a mapping beyond the end of a file raises SIGBUS at every access.
TEST_F(Hostile, AFaultInItsMemoryCostsOnlyItself) {
  const int empty = memfd_create("empty", MFD_CLOEXEC);
  ASSERT_GE(empty, 0);
  const auto region = BadRegion();
  ASSERT_EQ(mmap(region.data(), region.size(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, empty, 0),
            region.data());
  for (int step = 0; step < 20; ++step) ASSERT_NO_FATAL_FAILURE(ExpectGoodServed());
  EXPECT_EQ(world.loop->counters().faults.Get(), 1u);
  Notice notice;
  ASSERT_TRUE(world.loop->NextNotice(&notice));
  EXPECT_EQ(notice.kind, Notice::Kind::kFaulted);
  EXPECT_EQ(notice.id, 0);
  EXPECT_FALSE(world.loop->NextNotice(&notice));
  EXPECT_GT(world.drops(LinkDrop::kNoApp), 0u) << "its address is nobody's now";
  world.Detach(0);
  ExpectGoodServed();
  close(empty);
}

TEST(HostileDeathTest, AFaultElsewhereStillEndsTheProcess) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  World world;
  world.AttachRunning({});
  const int empty = memfd_create("empty", MFD_CLOEXEC);
  ASSERT_GE(empty, 0);
  auto* const page = static_cast<volatile char*>(mmap(nullptr, 4096, PROT_READ, MAP_SHARED, empty, 0));
  ASSERT_NE(page, MAP_FAILED);
  EXPECT_DEATH((void)*page, "");
  close(empty);
}

}  // namespace
}  // namespace sluice::test
