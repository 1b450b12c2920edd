// sync_test.cc - locks and signals between uthreads on several kthreads that lose their cores at random.
#include "sluice/sync.h"

#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "tests/lib/sanitized.h"
#include "tests/lib/test_runtime.h"

namespace sluice {
namespace {

using namespace std::chrono_literals;
using test::Count;
using test::Runtime;

class Sync : public testing::TestWithParam<uint64_t> {
 protected:
  Runtime runtime_{{.kthreads = 4, .keep_all_granted = true, .cede_randomly = true, .seed = GetParam()}};
  std::atomic<uint64_t> seeds_{GetParam() * 1000};

  // Runs `fn(random)` in that many uthreads and waits for them.
  template <class F>
  void InParallel(uint32_t uthreads, const F& fn) {
    runtime_.Run([&] {
      std::vector<Thread> threads;
      for (uint32_t i = 0; i < uthreads; ++i) {
        threads.emplace_back([&] {
          std::mt19937_64 random(++seeds_);
          fn(random);
        });
      }
    });
  }
};
INSTANTIATE_TEST_SUITE_P(Seeds, Sync, testing::Range<uint64_t>(1, 4));

TEST_P(Sync, MutexExcludes) {
  const uint32_t rounds = Count(2000, 200);
  Mutex mutex;
  uint64_t inside = 0;
  uint64_t count = 0;
  InParallel(20, [&](std::mt19937_64& random) {
    for (uint32_t i = 0; i < rounds; ++i) {
      if (random() % 4 == 0) {
        if (!mutex.try_lock()) continue;
      } else {
        mutex.lock();
      }
      EXPECT_EQ(++inside, 1u);
      ++count;
      if (random() % 8 == 0) Yield();
      EXPECT_EQ(inside--, 1u);
      mutex.unlock();
      if (random() % 8 == 0) Yield();
    }
  });
  EXPECT_GE(count, uint64_t{rounds} * 10);
  EXPECT_TRUE(mutex.try_lock());
}

// One that wants the lock gets it although others take and release it all the time.
TEST_P(Sync, MutexStarvesNobody) {
  Mutex mutex;
  std::atomic<bool> stop{false};
  runtime_.Run([&] {
    std::vector<Thread> greedy;
    greedy.reserve(8);
    for (int i = 0; i < 8; ++i) {
      greedy.emplace_back([&] {
        while (!stop) {
          const std::lock_guard lock(mutex);
          Yield();
        }
      });
    }
    for (int i = 0; i < 50; ++i) {
      const std::lock_guard lock(mutex);
      Yield();
    }
    stop = true;
  });
}

TEST_P(Sync, ConditionVariablesCarryABoundedBuffer) {
  const uint32_t items = Count(2000, 200);
  constexpr size_t kRoom = 3;
  constexpr uint32_t kProducers = 6;
  Mutex mutex;
  CondVar not_full, not_empty;
  std::deque<uint64_t> buffer;
  std::atomic<uint32_t> role{0};
  std::atomic<uint64_t> produced{0}, consumed{0};
  InParallel(2 * kProducers, [&](std::mt19937_64& random) {
    const bool producer = role++ % 2 == 0;
    for (uint32_t i = 0; i < items; ++i) {
      std::unique_lock lock(mutex);
      if (producer) {
        while (buffer.size() == kRoom) not_full.Wait(mutex);
        buffer.push_back(random() % 1000);
        produced += buffer.back();
        // With the lock held, or without.
        if (random() % 2 == 0) lock.unlock();
        not_empty.Signal();
      } else {
        while (buffer.empty()) not_empty.Wait(mutex);
        consumed += buffer.front();
        buffer.pop_front();
        if (random() % 2 == 0) lock.unlock();
        not_full.Signal();
      }
    }
  });
  EXPECT_EQ(produced, consumed);
  EXPECT_TRUE(buffer.empty());
}

TEST_P(Sync, BroadcastWakesEverybody) {
  Mutex mutex;
  CondVar turned;
  uint32_t generation = 0;
  uint32_t waiting = 0;
  constexpr uint32_t kUthreads = 20;
  // A barrier, again and again.
  InParallel(kUthreads, [&](std::mt19937_64& random) {
    for (uint32_t round = 0; round < Count(200, 30); ++round) {
      const std::lock_guard lock(mutex);
      EXPECT_EQ(generation, round);
      if (++waiting == kUthreads) {
        waiting = 0;
        ++generation;
        turned.Broadcast();
      }
      while (generation == round) turned.Wait(mutex);
      if (random() % 4 == 0) Yield();
    }
  });
}

TEST_P(Sync, WaitsWithDeadlinesLoseNoSignal) {
  // Tokens go round; some takers give up early, none is lost.
  Mutex mutex;
  CondVar available;
  uint64_t tokens = 5;
  std::atomic<uint64_t> timeouts{0};
  InParallel(20, [&](std::mt19937_64& random) {
    for (uint32_t i = 0; i < Count(500, 60); ++i) {
      std::unique_lock lock(mutex);
      while (tokens == 0) timeouts += !available.WaitFor(mutex, std::chrono::microseconds(random() % 20));
      --tokens;
      lock.unlock();
      if (random() % 2 == 0) Yield();
      lock.lock();
      ++tokens;
      available.Signal();
    }
  });
  EXPECT_EQ(tokens, 5u);
}

TEST_P(Sync, SemaphoreUnitsAreConserved) {
  Semaphore units(5);
  std::atomic<int64_t> held{0};
  InParallel(20, [&](std::mt19937_64& random) {
    for (uint32_t i = 0; i < Count(1000, 100); ++i) {
      switch (random() % 3) {
        case 0:
          units.Acquire();
          break;
        case 1:
          if (!units.TryAcquire()) continue;
          break;
        default:
          if (!units.AcquireFor(std::chrono::microseconds(random() % 30))) continue;
      }
      EXPECT_LE(++held, 5);
      if (random() % 2 == 0) Yield();
      --held;
      units.Post();
    }
  });
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(units.TryAcquire());
  EXPECT_FALSE(units.TryAcquire());
}

// The waiter frees it as soon as it may: Done touches nothing of it after that.
TEST_P(Sync, WaitGroupAndSemaphoreMayGoWithTheirWaiter) {
  InParallel(10, [&](std::mt19937_64& random) {
    for (uint32_t i = 0; i < Count(300, 50); ++i) {
      auto group = std::make_unique<WaitGroup>(3);
      auto done = std::make_unique<Semaphore>();
      for (int k = 0; k < 3; ++k) {
        Spawn([&group = *group] { group.Done(); });
      }
      Spawn([&done = *done] { done.Post(); });
      if (random() % 2 == 0) Yield();
      group->Wait();
      group.reset();
      done->Acquire();
      done.reset();
    }
  });
}

TEST(SyncTimeout, ExpiresWhenNobodySignals) {
  Runtime runtime({.kthreads = 2});
  runtime.Run([] {
    Mutex mutex;
    CondVar never;
    Semaphore none;
    const auto start = Now();
    {
      const std::lock_guard lock(mutex);
      EXPECT_FALSE(never.WaitFor(mutex, 1ms));
      EXPECT_FALSE(mutex.try_lock());  // it is ours again
    }
    EXPECT_FALSE(none.AcquireFor(1ms));
    EXPECT_FALSE(none.AcquireFor(0ms));
    EXPECT_GE(Now() - start, 2ms);
    none.Post();
    EXPECT_TRUE(none.AcquireFor(0ms));
  });
}

TEST(SyncTimeout, SignalledInTime) {
  Runtime runtime({.kthreads = 2});
  runtime.Run([] {
    Mutex mutex;
    CondVar changed;
    bool change = false;
    Thread other([&] {
      const std::lock_guard lock(mutex);
      change = true;
      changed.Signal();
    });
    const std::lock_guard lock(mutex);
    while (!change) EXPECT_TRUE(changed.WaitFor(mutex, 1h));
  });
}

// Two uthreads on one kthread hand the mutex to each other without touching it; a third that wants it gets it.
TEST(CondVar, HandOverLeavesTheMutexToOthersToo) {
  Runtime runtime({.kthreads = 1});
  runtime.Run([] {
    Mutex mutex;
    CondVar turned;
    int turn = 0;
    bool stop = false;
    std::vector<Thread> players;
    players.reserve(2);
    for (int me = 0; me < 2; ++me) {
      players.emplace_back([&, me] {
        const std::lock_guard lock(mutex);
        while (!stop) {
          while (turn != me && !stop) turned.Wait(mutex);
          turn = 1 - me;
          turned.Signal();
        }
      });
    }
    for (int i = 0; i < 1000; ++i) {
      const std::lock_guard lock(mutex);
      EXPECT_FALSE(mutex.try_lock());
      if (i % 2 == 0) Yield();
    }
    const std::lock_guard lock(mutex);
    stop = true;
    turned.Broadcast();
  });
}

// What a plain pthread may do.
TEST(PlainThread, WakesThroughTheInbox) {
  Runtime runtime({.kthreads = 3});
  constexpr uint32_t kThreads = 3;
  const uint32_t rounds = Count(2000, 200);
  Semaphore posted;
  WaitGroup all(kThreads * rounds);
  Mutex mutex;
  CondVar signalled;
  bool change = false;
  std::vector<std::thread> threads;
  for (uint32_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (uint32_t i = 0; i < rounds; ++i) {
        posted.Post();
        Spawn([&] { all.Done(); });
      }
    });
  }
  runtime.Run([&] {
    for (uint32_t i = 0; i < kThreads * rounds; ++i) posted.Acquire();
    all.Wait();
    Thread waiter([&] {
      const std::lock_guard lock(mutex);
      while (!change) signalled.Wait(mutex);
    });
    {
      const std::lock_guard lock(mutex);
      change = true;
    }
    std::thread signaller([&] { signalled.Broadcast(); });
    waiter.Join();
    signaller.join();
  });
  for (std::thread& thread : threads) thread.join();
}

TEST(SyncDeathTest, DoneMoreOftenThanAdd) { EXPECT_DEATH(WaitGroup().Done(), "more often than Add"); }

}  // namespace
}  // namespace sluice
