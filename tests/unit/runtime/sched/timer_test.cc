// timer_test.cc - timers fire in order, not early, not after a cancel; sleeping; deadlines of parked kthreads.
#include "runtime/sched/timer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <vector>

#include "sluice/net.h"
#include "sluice/sync.h"
#include "sluice/time.h"
#include "tests/lib/sanitized.h"
#include "tests/lib/test_runtime.h"

namespace sluice {
namespace {

using namespace std::chrono_literals;
using sched::PreemptGuard;
using test::Count;
using test::Runtime;

struct Recorded {
  explicit Recorded(std::vector<Recorded*>& log) : log(log), timer(OnTimer, this) {}
  static void OnTimer(sched::Timer& timer) {
    auto* self = static_cast<Recorded*>(timer.arg());
    self->fired_at = abi::ReadTsc();
    self->log.push_back(self);
  }

  std::vector<Recorded*>& log;
  sched::Timer timer;
  uint64_t when = 0;
  uint64_t fired_at = 0;
  bool cancelled = false;
};

// Arms and cancels at random with preemption off, so that nothing fires meanwhile.
TEST(Timer, FireInOrderAndNotAfterACancel) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Runtime runtime({.kthreads = 1, .seed = seed});
    runtime.Run([&] {
      std::mt19937_64 random(seed);
      std::vector<Recorded*> log;
      std::vector<std::unique_ptr<Recorded>> timers;
      size_t armed = 0;
      {
        const PreemptGuard guard;
        const uint64_t start = abi::ReadTsc();
        for (int i = 0; i < 1000; ++i) {
          timers.push_back(std::make_unique<Recorded>(log));
          Recorded& added = *timers.back();
          added.when = start + random() % 5'000'000;  // 2 ms
          added.timer.Arm(added.when);
          ++armed;
          Recorded& other = *timers[random() % timers.size()];
          if (random() % 2 == 0 && other.timer.Cancel()) {
            EXPECT_FALSE(std::exchange(other.cancelled, true));
            EXPECT_FALSE(other.timer.Cancel());
            --armed;
          }
        }
      }
      while (log.size() < armed) Yield();
      EXPECT_TRUE(std::is_sorted(log.begin(), log.end(), [](auto* a, auto* b) { return a->when < b->when; }));
      for (const Recorded* fired : log) {
        EXPECT_FALSE(fired->cancelled);
        EXPECT_GE(fired->fired_at, fired->when);
      }
    });
  }
}

// Timers fire here, on thieves and while they are cancelled from elsewhere: each either fires or is cancelled.
TEST(Timer, CancelRacesWithFiring) {
  Runtime runtime({.kthreads = 3, .keep_all_granted = true, .cede_randomly = true});
  std::atomic<uint64_t> fired{0};
  uint64_t cancelled = 0;
  const uint32_t rounds = Count(100'000, 5'000);
  runtime.Run([&] {
    std::mt19937_64 random(3);
    for (uint32_t i = 0; i < rounds; ++i) {
      sched::Timer timer([](sched::Timer& t) { ++*static_cast<std::atomic<uint64_t>*>(t.arg()); }, &fired);
      {
        const PreemptGuard guard;
        timer.Arm(abi::ReadTsc() + random() % 20'000);
      }
      for (uint64_t n = random() % 8; n > 0; --n) Yield();
      cancelled += timer.Cancel();
    }
  });
  EXPECT_EQ(fired + cancelled, rounds);
}

TEST(Timer, ACancelledTimerMayBeArmedAgain) {
  Runtime runtime({.kthreads = 1});
  runtime.Run([&] {
    std::vector<Recorded*> log;
    Recorded timer(log);
    for (int i = 0; i < 100; ++i) {
      {
        const PreemptGuard guard;
        timer.timer.Arm(abi::ReadTsc() + (1ull << 40));
      }
      EXPECT_TRUE(timer.timer.Cancel());
    }
    {
      const PreemptGuard guard;
      timer.timer.Arm(abi::ReadTsc());
    }
    while (log.empty()) Yield();
    EXPECT_FALSE(timer.timer.Cancel());
  });
}

TEST(Sleep, NeverTooShort) {
  Runtime runtime({.kthreads = 4, .keep_all_granted = true, .cede_randomly = true});
  runtime.Run([&] {
    std::vector<Thread> sleepers;
    for (uint32_t i = 0; i < Count(200, 50); ++i) {
      sleepers.emplace_back([i] {
        for (int round = 0; round < 5; ++round) {
          const auto duration = std::chrono::microseconds((i * 37 + static_cast<uint32_t>(round) * 11) % 500);
          const auto start = Now();
          Sleep(duration);
          EXPECT_GE(Now() - start, duration);
        }
      });
    }
  });
}

TEST(Sleep, WakesInTheOrderOfDeadlines) {
  Runtime runtime({.kthreads = 1});
  bool all_slept = false;
  // Again, if a busy machine held us up until after the first deadline: then somebody does not sleep at all.
  for (int attempt = 0; attempt < 100 && !all_slept; ++attempt) {
    std::vector<int> order;
    runtime.Run([&] {
      const auto start = Now();
      all_slept = true;
      std::vector<Thread> sleepers;
      for (const int ms : {9, 5, 8, 6, 7}) {
        sleepers.emplace_back([&, ms] {
          all_slept = all_slept && Now() < start + std::chrono::milliseconds(1);
          SleepUntil(start + std::chrono::milliseconds(ms));
          order.push_back(ms);
        });
      }
    });
    EXPECT_TRUE(!all_slept || std::is_sorted(order.begin(), order.end()));
  }
  EXPECT_TRUE(all_slept);
}

TEST(Sleep, OfThePastAndOfNoTimeReturns) {
  Runtime runtime({.kthreads = 1});
  runtime.Run([&] {
    SleepUntil(Clock::time_point{});
    Sleep(0ns);
    Sleep(-1h);
  });
}

// Everybody is parked: only the IOKernel's look at next_timer can end this.
TEST(Sleep, WakesAParkedKthread) {
  Runtime runtime({.kthreads = 2});
  runtime.Run([&] {
    for (int i = 0; i < 20; ++i) Sleep(1ms);
  });
  EXPECT_GT(runtime.iokernel().Sum(&abi::RuntimeCounters::parks), 0u);
}

// Regression: one that yielded was queued before the timers were looked at, so who slept waited for its turn, too.
TEST(Sleep, WhoIsDueRunsBeforeWhoYields) {
  Runtime runtime({.kthreads = 1});
  runtime.Run([] {
    const auto compute_until = [](Clock::time_point then) {
      while (Now() < then) {
      }
    };
    const auto due = Now() + 2ms;
    bool woken = false;
    Thread sleeper([&] {
      SleepUntil(due);
      woken = true;
    });
    // After some turns as long as these every yield goes through the loop.
    for (int i = 0; i < 15; ++i) {
      compute_until(Now() + 100us);
      Yield();
    }
    compute_until(due);
    Yield();
    EXPECT_TRUE(woken);
  });
}

// Regression: the only core was with a uthread that yielded for ever, so the timers of a kthread without a core
// never fired, and what waited in its run queue never ran.
TEST(Stealing, ABusyKthreadLooksAfterTheParkedOnes) {
  Runtime runtime({.kthreads = 2, .cores = 1});
  runtime.Run([&] {
    std::atomic<bool> stop{false};
    const auto here = [] { return test::KthreadIndex(); };
    const uint32_t first = here();
    Thread busy([&] {
      while (!stop) Yield();
    });
    Thread sleeper([&] {
      Sleep(1ms);
      stop = true;
    });
    while (!stop) {
      if (here() == first) runtime.iokernel().GrantOnly(1 - first);
      Yield();
    }
  });
}

TEST(Clock, DeadlinesDoNotOverflow) {
  Runtime({.kthreads = 1}).Run([] {
    EXPECT_EQ(Clock::After(std::chrono::nanoseconds::max()), Clock::time_point::max());
    EXPECT_GT(Clock::After(1h), Now());
    EXPECT_GT(Now(), Clock::time_point{});
    for (const std::chrono::nanoseconds centuries : {kForever - 1ns, std::chrono::nanoseconds(24h * 365 * 250)}) {
      Semaphore semaphore;
      Thread poster([&] {
        Sleep(1ms);
        semaphore.Post();
      });
      EXPECT_TRUE(semaphore.AcquireFor(centuries));
    }
  });
  EXPECT_EQ(Now(), Clock::time_point{});
}

}  // namespace
}  // namespace sluice
