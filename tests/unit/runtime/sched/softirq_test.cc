// softirq_test.cc - packets: every one handled once, those of a flow in order, whoever takes them.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "iokernel/abi/message.h"
#include "sluice/sync.h"
#include "tests/lib/sanitized.h"
#include "tests/lib/test_runtime.h"

namespace sluice {
namespace {

using test::Count;
using test::Runtime;

constexpr uint32_t kFlows = 64;

struct Packet {
  uint32_t flow;
  uint32_t sequence;
};

// What the handler has seen. Each flow's expected number has no lock of its own: the ring's flag must do.
struct Seen {
  const io::RegionView* region = nullptr;
  std::array<uint32_t, kFlows> expected{};
  std::atomic<uint64_t> handled{0};
  std::atomic<uint64_t> out_of_order{0};
  std::atomic<uint64_t> wrong_ring{0};
  std::atomic<uint64_t> largest_batch{0};
  std::atomic<bool> spawn{false};
  std::atomic<uint32_t> working{0};
} seen;

void Handle(sched::Kthread&, uint32_t ring, std::span<const abi::LrpcMessage> messages) {
  if (messages.size() > seen.largest_batch) seen.largest_batch = messages.size();
  for (const abi::LrpcMessage& message : messages) {
    const abi::RxPacket rx = abi::DecodeRx(message);
    Packet packet;
    std::memcpy(&packet, seen.region->RxBuffer(rx.buffer), sizeof(packet));
    if (rx.hash % seen.region->kthreads() != ring) ++seen.wrong_ring;
    if (seen.expected[packet.flow]++ != packet.sequence) ++seen.out_of_order;
    sched::ReturnBuffer(rx.buffer);
    // Work that keeps this kthread away from its ring, within what ThreadSanitizer can follow (8 128 threads).
    if (seen.spawn && seen.working < 1000) {
      ++seen.working;
      Spawn([] {
        for (int i = 0; i < 3; ++i) Yield();
        --seen.working;
      });
    }
    ++seen.handled;
  }
}

class Softirq : public testing::TestWithParam<uint64_t> {
 protected:
  Softirq() { seen.~Seen(), new (&seen) Seen; }

  static bool Send(test::FakeIoKernel& iokernel, uint32_t flow, uint32_t sequence) {
    const Packet packet{flow, sequence};
    return iokernel.Inject(flow % iokernel.view().kthreads(), std::as_bytes(std::span(&packet, 1)), flow);
  }
};

// Uthreads come and go, kthreads lose their cores, rings are robbed: 0 out of order.
TEST_P(Softirq, FlowsKeepTheirOrderThroughStealing) {
  test::FakeIoKernelOptions options{.kthreads = 4, .keep_all_granted = true, .cede_randomly = true, .seed = GetParam()};
  Runtime runtime(options, Handle);
  test::FakeIoKernel& iokernel = runtime.iokernel();
  seen.region = &iokernel.view();
  seen.spawn = true;
  constexpr auto kStolen = &abi::RuntimeCounters::rx_stolen;
  const uint64_t least = Count(100'000, 2'000);
  uint64_t packets = 0;
  std::array<uint32_t, kFlows> next{};
  std::mt19937_64 random(GetParam());
  while (packets < least || (iokernel.Sum(kStolen) == 0 && packets < 10 * least)) {
    const auto flow = static_cast<uint32_t>(random() % kFlows);
    if (Send(iokernel, flow, next[flow])) {
      ++next[flow];
      ++packets;
    } else {
      std::this_thread::yield();
    }
  }
  while (seen.handled < packets) std::this_thread::yield();
  EXPECT_EQ(seen.out_of_order, 0u);
  EXPECT_EQ(seen.wrong_ring, 0u);
  EXPECT_GT(iokernel.Sum(kStolen), 0u);
  while (iokernel.buffers_free() < options.rx_buffers) std::this_thread::yield();
  while (iokernel.Sum(&abi::RuntimeCounters::rx_packets) < packets) std::this_thread::yield();
  EXPECT_EQ(iokernel.Sum(&abi::RuntimeCounters::rx_packets), packets);
}
INSTANTIATE_TEST_SUITE_P(Seeds, Softirq, testing::Range<uint64_t>(1, 4));

TEST_F(Softirq, APacketWakesAParkedKthread) {
  Runtime runtime({.kthreads = 2}, Handle);
  seen.region = &runtime.iokernel().view();
  for (uint32_t i = 0; i < Count(2000, 300); ++i) {
    while (!Send(runtime.iokernel(), 1, i)) std::this_thread::yield();
    while (seen.handled <= i) std::this_thread::yield();
  }
  EXPECT_EQ(seen.out_of_order, 0u);
}

// A kthread whose uthread holds its core: an idle neighbour takes the whole ring over.
TEST_F(Softirq, AnIdleKthreadTakesTheRingOfABusyOne) {
  Runtime runtime({.kthreads = 2, .keep_all_granted = true}, Handle);
  seen.region = &runtime.iokernel().view();
  runtime.Run([&] {
    const uint32_t home = test::KthreadIndex();
    const uint32_t flow = home;
    std::thread sender([&] {
      for (uint32_t i = 0; i < 100; ++i) {
        while (!Send(runtime.iokernel(), flow, i)) std::this_thread::yield();
      }
    });
    while (seen.handled < 100) {
    }
    EXPECT_EQ(test::KthreadIndex(), home);
    sender.join();
  });
  EXPECT_EQ(seen.out_of_order, 0u);
  while (runtime.iokernel().Sum(&abi::RuntimeCounters::rx_stolen) < 100) std::this_thread::yield();
}

// Uthreads that switch among themselves without end do not keep packets and timers waiting.
TEST_F(Softirq, ComesBetweenYields) {
  Runtime runtime({.kthreads = 1}, Handle);
  seen.region = &runtime.iokernel().view();
  runtime.Run([&] {
    std::vector<Thread> busy;
    busy.reserve(5);
    for (int i = 0; i < 5; ++i) {
      busy.emplace_back([] {
        while (seen.handled < 10) Yield();
      });
    }
    for (uint32_t i = 0; i < 10; ++i) EXPECT_TRUE(Send(runtime.iokernel(), 0, i));
    Sleep(std::chrono::microseconds(100));
  });
}

TEST_F(Softirq, PacketsThatNobodyWantsAreGivenBack) {
  Runtime runtime({.kthreads = 2});
  for (uint32_t i = 0; i < 1000; ++i) {
    while (!Send(runtime.iokernel(), i % 2, i)) std::this_thread::yield();
  }
  while (runtime.iokernel().buffers_free() < test::FakeIoKernelOptions{}.rx_buffers) std::this_thread::yield();
}

}  // namespace
}  // namespace sluice
