// uthread_test.cc - making, yielding, joining, and what happens when there are very many.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <array>
#include <atomic>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "sluice/sync.h"
#include "tests/lib/sanitized.h"
#include "tests/lib/test_runtime.h"

namespace sluice {
namespace {

using test::Count;
using test::Runtime;

TEST(Uthread, RunsAndIsJoined) {
  Runtime runtime({.kthreads = 2});
  int value = 0;
  runtime.Run([&] {
    Thread thread([&] { value = 42; });
    EXPECT_TRUE(thread.joinable());
    thread.Join();
    EXPECT_FALSE(thread.joinable());
    EXPECT_EQ(value, 42);
  });
}

TEST(Uthread, YieldsInTurns) {
  Runtime runtime({.kthreads = 1});
  std::string order;
  runtime.Run([&] {
    const auto write = [&order](char letter) {
      for (int i = 0; i < 300; ++i, Yield()) order += letter;
    };
    Thread a([&] { write('a'); });
    Thread b([&] { write('b'); });
    Thread c([&] { write('c'); });
  });
  ASSERT_EQ(order.size(), 900u);
  for (size_t i = 0; i < order.size(); ++i) EXPECT_EQ(order[i], "abc"[i % 3]) << i;
}

TEST(Uthread, JoinAfterItsEndAndBefore) {
  Runtime runtime({.kthreads = 1});
  runtime.Run([&] {
    bool ended = false;
    Thread early([&] { ended = true; });
    while (!ended) Yield();
    early.Join();

    bool go = false;
    Thread late([&] {
      while (!go) Yield();
    });
    Thread releaser([&] { go = true; });
    late.Join();
  });
}

TEST(Uthread, DetachBeforeAndAfterItsEnd) {
  Runtime runtime({.kthreads = 2});
  runtime.Run([&] {
    std::atomic<int> ended{0};
    for (int i = 0; i < 100; ++i) {
      Thread thread([&] { ++ended; });
      if (i % 2 == 0) {
        while (ended != i + 1) Yield();
      }
      thread.Detach();
      while (ended != i + 1) Yield();
    }
  });
}

TEST(Uthread, ClosureLivesOnItsStackAlignedAndIsDestroyed) {
  struct alignas(64) Wide {
    std::array<char, 200> bytes{};
  };
  Runtime runtime({.kthreads = 2});
  auto shared = std::make_shared<int>(7);
  runtime.Run([&] {
    Thread([shared, wide = Wide{}] {
      EXPECT_EQ(reinterpret_cast<uintptr_t>(&wide) % 64, 0u);
      EXPECT_EQ(*shared, 7);
    }).Join();
    Thread([owned = std::make_unique<int>(1)] { EXPECT_EQ(*owned, 1); }).Join();
  });
  EXPECT_EQ(shared.use_count(), 1);
}

TEST(Uthread, LimitIsReportedAndStacksAreUsedAgain) {
  test::FakeIoKernel iokernel({.kthreads = 1});
  ASSERT_TRUE(sched::Start({.region = iokernel.view(), .max_uthreads = 40, .shared_cpus = true}));
  iokernel.Run();
  std::promise<void> done;
  ASSERT_TRUE(sched::SpawnFromOutside([&] {
    for (int round = 0; round < 3; ++round) {
      std::vector<Thread> threads;
      for (;;) {
        auto thread = Thread::TryMake([] { Yield(); });
        if (!thread) {
          EXPECT_EQ(thread.error(), Error::kSystem);
          break;
        }
        threads.push_back(std::move(*thread));
      }
      EXPECT_EQ(threads.size(), 39u);  // and this one
      EXPECT_FALSE(TrySpawn([] {}));
    }
    done.set_value();
  }));
  done.get_future().wait();
  sched::Stop();
  sched::Join();
}

TEST(Uthread, TooLargeALimitIsRefusedWithTheWayOut) {
  test::FakeIoKernel iokernel({.kthreads = 1});
  const auto started = sched::Start({.region = iokernel.view(), .max_uthreads = ~0u});
  ASSERT_FALSE(started);
  EXPECT_NE(started.error().find("4294967295 uthreads are more than"), std::string::npos) << started.error();
  EXPECT_FALSE(sched::Start({.region = iokernel.view(), .stack_size = 100}));
}

// More than the run queue's ring holds: order is kept through the overflow list.
TEST(Uthread, FirstInFirstOutBeyondTheRing) {
  constexpr int kUthreads = 3000;
  Runtime runtime({.kthreads = 1});
  std::vector<int> order;
  runtime.Run([&] {
    WaitGroup all(kUthreads);
    for (int i = 0; i < kUthreads; ++i) {
      Spawn([&, i] {
        order.push_back(i);
        all.Done();
      });
    }
    all.Wait();
  });
  ASSERT_EQ(order.size(), size_t{kUthreads});
  for (int i = 0; i < kUthreads; ++i) EXPECT_EQ(order[i], i);
}

// A tree of uthreads that spawn, yield and join at random, over several kthreads that lose their cores at random.
class Storm : public testing::TestWithParam<uint64_t> {};

uint64_t Grow(uint64_t seed, int depth) {
  std::mt19937_64 random(seed);
  if (depth == 0) return 1;
  std::atomic<uint64_t> detached_leaves{0};
  WaitGroup detached;
  uint64_t leaves = 0;
  std::vector<Thread> children;
  std::vector<uint64_t> counts(random() % 5 + 1);
  for (uint64_t& count : counts) {
    const uint64_t child_seed = random();
    if (random() % 4 == 0) {
      detached.Add();
      Spawn([&, child_seed, depth] {
        detached_leaves += Grow(child_seed, depth - 1);
        detached.Done();
      });
    } else {
      children.emplace_back([&count, child_seed, depth] { count = Grow(child_seed, depth - 1); });
    }
    if (random() % 2 == 0) Yield();
  }
  for (Thread& child : children) {
    child.Join();
    if (random() % 3 == 0) Yield();
  }
  detached.Wait();
  for (const uint64_t count : counts) leaves += count;
  return leaves + detached_leaves;
}

// The same without uthreads.
uint64_t GrowAlone(uint64_t seed, int depth) {
  std::mt19937_64 random(seed);
  if (depth == 0) return 1;
  uint64_t leaves = 0;
  const uint64_t children = random() % 5 + 1;
  for (uint64_t i = 0; i < children; ++i) {
    const uint64_t child_seed = random();
    leaves += GrowAlone(child_seed, depth - 1);
    random.discard(2);
  }
  return leaves;
}

TEST_P(Storm, EveryUthreadRunsOnce) {
  const int depth = test::kSanitized ? 5 : 8;
  Runtime runtime({.kthreads = 4, .keep_all_granted = true, .cede_randomly = true, .seed = GetParam()});
  runtime.Run([&] { EXPECT_EQ(Grow(GetParam(), depth), GrowAlone(GetParam(), depth)); });
}
INSTANTIATE_TEST_SUITE_P(Seeds, Storm, testing::Range<uint64_t>(1, 9));

TEST(Stealing, IdleKthreadsTakeReadyUthreads) {
  Runtime runtime({.kthreads = 4, .keep_all_granted = true});
  runtime.Run([&] {
    // The spawner does not give way: whoever runs these is a thief.
    std::atomic<uint32_t> ran{0};
    for (uint32_t i = 0; i < Count(1000, 100); ++i) {
      Spawn([&] { ++ran; });
    }
    while (ran != Count(1000, 100)) {
    }
  });
  EXPECT_GT(runtime.iokernel().Sum(&abi::RuntimeCounters::uthreads_stolen), 0u);
}

// A sanitizer keeps its own handler, and has its own words.
constexpr const char* kSaysOverflow = test::kSanitized ? "" : "a uthread has run off its stack";

TEST(UthreadDeathTest, StackOverflowHitsTheGuard) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  // Also from a stack that has had a neighbour below it.
  EXPECT_DEATH(
      {
        Runtime runtime({.kthreads = 1});
        runtime.Run([&] {
          std::vector<Thread> neighbours;
          neighbours.reserve(8);
          for (int i = 0; i < 8; ++i) neighbours.emplace_back([] { Yield(); });
          struct Deeper {
            [[gnu::noinline]] static int Go(int depth) {
              volatile char frame[1024];
              frame[depth % 1024] = 1;
              return depth == 0 ? 0 : Go(depth - 1) + frame[depth % 1024];
            }
          };
          Thread([] { Deeper::Go(1'000'000); }).Join();
        });
      },
      kSaysOverflow);
}

TEST(UthreadDeathTest, AnotherFaultIsNotTakenForAnOverflow) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_DEATH(
      {
        Runtime runtime({.kthreads = 1});
        runtime.Run([] { Thread([] { raise(SIGSEGV); }).Join(); });
      },
      testing::Not(testing::HasSubstr("run off its stack")));
}

TEST(UthreadDeathTest, AnExceptionThatLeavesTheFunctionTerminates) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_DEATH(
      {
        Runtime runtime({.kthreads = 1});
        runtime.Run([] { Thread([] { throw std::string("nobody catches this"); }).Join(); });
      },
      "terminate called|nobody");
}

TEST(UthreadDeathTest, AUthreadOutsideOfRunIsSaid) {
  EXPECT_DEATH(Thread([] {}), "outside of Run");
}

TEST(UthreadDeathTest, BlockingOutsideOfAUthreadIsSaid) { EXPECT_DEATH(Yield(), "outside of a uthread"); }

}  // namespace
}  // namespace sluice
