// lrpc_test.cc - the ring against a queue model, at the wrap of its counters, with a hostile peer, between two
// threads and between two processes.
#include "iokernel/abi/lrpc.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <random>
#include <thread>
#include <vector>

namespace sluice::abi {
namespace {

// A ring in private memory, between guard slots that must never change.
struct Ring {
  static constexpr uint64_t kGuard = 0x5a5a5a5a5a5a5a5a;
  static constexpr uint32_t kGuards = 4;

  explicit Ring(uint32_t slots, uint32_t position = 0)
      : memory(slots + 2 * kGuards),
        head(position),
        sender(&memory[kGuards], slots, &head, position),
        receiver(&memory[kGuards], slots, &head, position) {
    for (uint32_t i = 0; i < kGuards; ++i) {
      for (LrpcSlot* slot : {&memory[i], &memory[memory.size() - 1 - i]}) {
        slot->command = kGuard;
        slot->payload = kGuard;
      }
    }
  }

  void ExpectGuards() const {
    for (uint32_t i = 0; i < kGuards; ++i) {
      for (const LrpcSlot* slot : {&memory[i], &memory[memory.size() - 1 - i]}) {
        ASSERT_EQ(slot->command.load(), kGuard);
        ASSERT_EQ(slot->payload.load(), kGuard);
      }
    }
  }

  std::vector<LrpcSlot> memory;
  std::atomic<uint32_t> head;
  LrpcSender sender;
  LrpcReceiver receiver;
};

// The last position at which fresh, all-zero memory is right for a ring of `slots`, `laps` laps before the wrap.
uint32_t NearWrap(uint32_t slots, uint32_t laps) { return 0u - 2 * laps * slots; }

LrpcMessage Numbered(uint64_t n) { return {n & ~kLrpcParity, ~n}; }

TEST(Lrpc, OneMessageThere) {
  Ring ring(16);
  EXPECT_FALSE(ring.receiver.Ready());
  LrpcMessage message;
  EXPECT_FALSE(ring.receiver.Receive(&message));
  // Bit 63 belongs to the ring: it does not come through.
  ASSERT_TRUE(ring.sender.Send(~uint64_t{0}, 42));
  EXPECT_TRUE(ring.receiver.Ready());
  ASSERT_TRUE(ring.receiver.Receive(&message));
  EXPECT_EQ(message.command, ~kLrpcParity);
  EXPECT_EQ(message.payload, 42u);
  EXPECT_FALSE(ring.receiver.Ready());
}

TEST(Lrpc, FullUntilTheHeadIsPublished) {
  Ring ring(16);
  for (uint64_t i = 0; i < 16; ++i) ASSERT_TRUE(ring.sender.Send(i, i));
  EXPECT_FALSE(ring.sender.Send(16, 16));
  EXPECT_EQ(ring.sender.Free(1), 0u);
  LrpcMessage message;
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(ring.receiver.Receive(&message));
  EXPECT_FALSE(ring.sender.Send(16, 16)) << "three taken of sixteen: below a quarter, not written back yet";
  ring.receiver.PublishHead();
  EXPECT_EQ(ring.sender.Free(3), 3u);
  for (uint64_t i = 0; i < 3; ++i) ASSERT_TRUE(ring.sender.Send(i, i));
  EXPECT_FALSE(ring.sender.Send(0, 0));
}

TEST(Lrpc, HeadGoesBackAtEveryQuarter) {
  Ring ring(16);
  for (uint64_t i = 0; i < 16; ++i) ASSERT_TRUE(ring.sender.Send(i, i));
  LrpcMessage message;
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(ring.receiver.Receive(&message));
  EXPECT_EQ(ring.head.load(), 4u);
  std::vector<LrpcMessage> out(16);
  EXPECT_EQ(ring.receiver.ReceiveBurst(out), 12u);
  EXPECT_EQ(ring.head.load(), 16u);
}

// Any sequence of operations does what a bounded queue does.
void RunAgainstModel(uint64_t seed, uint32_t slots, uint32_t position) {
  std::mt19937_64 random(seed);
  Ring ring(slots, position);
  std::deque<uint64_t> model;
  uint32_t unpublished = 0;  // taken, but the sender may not know
  uint64_t next = 1;
  std::vector<LrpcMessage> burst;
  for (int step = 0; step < 3000; ++step) {
    const uint32_t size = static_cast<uint32_t>(random() % (slots * 5 / 4 + 1));
    switch (random() % 5) {
      case 0: {
        const bool sent = ring.sender.Send(Numbered(next).command, Numbered(next).payload);
        ASSERT_TRUE(sent || model.size() + unpublished == slots);
        ASSERT_TRUE(!sent || model.size() < slots);
        if (sent) model.push_back(next++);
        break;
      }
      case 1: {
        burst.clear();
        for (uint32_t i = 0; i < size; ++i) burst.push_back(Numbered(next + i));
        const uint32_t sent = ring.sender.SendBurst(burst);
        ASSERT_LE(model.size() + sent, slots);
        ASSERT_GE(sent, std::min<size_t>(size, slots - model.size() - unpublished));
        for (uint32_t i = 0; i < sent; ++i) model.push_back(next++);
        break;
      }
      case 2: {
        LrpcMessage message;
        ASSERT_EQ(ring.receiver.Ready(), !model.empty());
        ASSERT_EQ(ring.receiver.Receive(&message), !model.empty());
        if (model.empty()) break;
        ASSERT_EQ(message.command, Numbered(model.front()).command);
        ASSERT_EQ(message.payload, Numbered(model.front()).payload);
        model.pop_front();
        ++unpublished;
        break;
      }
      case 3: {
        std::vector<LrpcMessage> out(size);
        const uint32_t received = ring.receiver.ReceiveBurst(out);
        ASSERT_EQ(received, std::min<size_t>(size, model.size()));
        for (uint32_t i = 0; i < received; ++i) {
          ASSERT_EQ(out[i].payload, Numbered(model.front()).payload);
          model.pop_front();
        }
        unpublished += received;
        break;
      }
      default:
        ring.receiver.PublishHead();
        unpublished = 0;
        ASSERT_EQ(ring.sender.Free(slots), slots - model.size());
    }
    ASSERT_EQ(ring.sender.sent() - ring.receiver.received(), model.size());
    unpublished = ring.receiver.received() - ring.head.load();
    ASSERT_LE(unpublished, slots / 4) << "a quarter at most is kept from the sender";
  }
  ring.ExpectGuards();
}

TEST(Lrpc, BehavesAsABoundedQueue) {
  for (uint64_t seed = 1; seed <= 30; ++seed) RunAgainstModel(seed, 16u << seed % 4, 0);
}

TEST(Lrpc, CountersWrap) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    const uint32_t slots = 16u << seed % 3;
    RunAgainstModel(seed, slots, NearWrap(slots, static_cast<uint32_t>(1 + seed % 4)));
  }
}

// Whatever the consumer writes back, the sender stays inside the ring, sends no more than a ring before it
// hears something credible, and works again once the head is honest.
TEST(Lrpc, HostileHeadIsNotBelieved) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    std::mt19937_64 random(seed);
    const uint32_t slots = 16;
    Ring ring(slots, seed % 2 == 0 ? 0 : NearWrap(slots, 2));
    std::vector<LrpcMessage> burst(40, Numbered(7));
    for (int step = 0; step < 2000; ++step) {
      const auto rubbish = static_cast<uint32_t>(random());
      const uint32_t sent = ring.sender.sent();
      ring.head.store(random() % 2 == 0 ? rubbish : sent + rubbish % 64 - 32);
      const uint32_t head = ring.head.load();
      const uint32_t before = ring.sender.Free(0);
      const uint32_t count = ring.sender.SendBurst(std::span(burst).first(random() % burst.size()));
      ASSERT_LE(count, slots);
      if (sent - head > slots) {
        ASSERT_LE(count, before) << "a head outside the window made room";
      }
      ASSERT_EQ(ring.sender.sent(), sent + count);
    }
    ring.ExpectGuards();
    ring.head.store(ring.sender.sent());
    EXPECT_EQ(ring.sender.Free(slots), slots);
  }
}

// A producer that scribbles over the whole ring can make messages appear; the receiver stays inside the ring
// and takes no more than it is asked to.
TEST(Lrpc, HostileProducerCannotOverrunTheReceiver) {
  std::mt19937_64 random(3);
  Ring ring(16);
  std::vector<LrpcMessage> out(100);
  for (int step = 0; step < 2000; ++step) {
    for (uint32_t i = 0; i < 16; ++i) {
      ring.memory[Ring::kGuards + i].command.store(random());
      ring.memory[Ring::kGuards + i].payload.store(random());
    }
    const size_t asked = random() % out.size();
    ASSERT_LE(ring.receiver.ReceiveBurst(std::span(out).first(asked)), asked);
    for (size_t i = 0; i < asked; ++i) ASSERT_EQ(out[i].command & kLrpcParity, 0u);
  }
  ring.ExpectGuards();
}

// Sends the numbers 0 to count - 1 in bursts of random size.
void Produce(LrpcSender sender, uint64_t count) {
  std::mt19937_64 random(1);
  std::vector<LrpcMessage> burst(64);
  for (uint64_t next = 0; next < count;) {
    const uint64_t size = std::min<uint64_t>(1 + random() % burst.size(), count - next);
    for (uint64_t i = 0; i < size; ++i) burst[i] = Numbered(next + i);
    uint32_t sent;
    if (size == 1) {
      sent = sender.Send(burst[0].command, burst[0].payload) ? 1 : 0;
    } else {
      sent = sender.SendBurst(std::span(burst).first(size));
    }
    next += sent;
    if (sent == 0) std::this_thread::yield();
  }
}

// The number of messages, up to `count`, that came in order and whole. Gives up when `alive` says so.
template <class Alive>
uint64_t Consume(LrpcReceiver receiver, uint64_t count, Alive&& alive) {
  std::mt19937_64 random(2);
  std::vector<LrpcMessage> burst(48);
  uint64_t next = 0;
  while (next < count) {
    const uint32_t got = receiver.ReceiveBurst(std::span(burst).first(1 + random() % burst.size()));
    for (uint32_t i = 0; i < got; ++i, ++next) {
      if (burst[i].command != Numbered(next).command || burst[i].payload != Numbered(next).payload) return next;
    }
    if (got == 0) {
      receiver.PublishHead();
      if (!alive()) return next;
      std::this_thread::yield();
    }
  }
  return next;
}

TEST(Lrpc, BetweenThreads) {
  constexpr uint64_t kCount = 200'000;
  for (const uint32_t slots : {64u, 256u}) {
    Ring ring(slots, NearWrap(slots, 1000));
    std::thread producer([&] { Produce(ring.sender, kCount); });
    EXPECT_EQ(Consume(ring.receiver, kCount, [] { return true; }), kCount);
    producer.join();
    ring.ExpectGuards();
  }
}

TEST(Lrpc, BetweenProcesses) {
  constexpr uint64_t kCount = 200'000;
  constexpr uint32_t kSlots = 128;
  struct Shared {
    LrpcSlot ring[kSlots];
    std::atomic<uint32_t> head;
  };
  const int fd = memfd_create("lrpc_test", MFD_CLOEXEC);
  ASSERT_GE(fd, 0);
  ASSERT_EQ(ftruncate(fd, sizeof(Shared)), 0);
  // Two mappings, as in life: nothing may depend on the address.
  const auto map = [&] { return mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0); };
  void* const ours = map();
  void* const theirs = map();
  ASSERT_NE(ours, MAP_FAILED);
  ASSERT_NE(theirs, MAP_FAILED);

  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    auto* shared = static_cast<Shared*>(theirs);
    Produce(LrpcSender(shared->ring, kSlots, &shared->head), kCount);
    _exit(0);
  }
  auto* shared = static_cast<Shared*>(ours);
  int status = 0;
  bool gone = false;
  // A child that has ended may have left its last messages: one more look after it was seen gone.
  const auto alive = [&] {
    if (gone) return false;
    gone = waitpid(child, &status, WNOHANG) == child;
    return true;
  };
  EXPECT_EQ(Consume(LrpcReceiver(shared->ring, kSlots, &shared->head), kCount, alive), kCount);
  if (!gone) {
    EXPECT_EQ(waitpid(child, &status, 0), child);
  }
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  munmap(ours, sizeof(Shared));
  munmap(theirs, sizeof(Shared));
  close(fd);
}

}  // namespace
}  // namespace sluice::abi
