// park_test.cc - parking for want of work, waking, ceding at a switch.
#include <gtest/gtest.h>

#include <atomic>
#include <semaphore>
#include <thread>
#include <vector>

#include "sluice/sync.h"
#include "tests/lib/sanitized.h"
#include "tests/lib/test_runtime.h"

namespace sluice {
namespace {

using test::Count;
using test::KthreadIndex;
using test::Runtime;

constexpr auto kParks = &abi::RuntimeCounters::parks;

// A plain pthread wakes a uthread that wakes it: between rounds all kthreads park, and each wake must come through.
TEST(Park, NoWakeFromAPlainThreadIsLost) {
  constexpr uint32_t kPairs = 4;
  const uint32_t rounds = Count(25'000, 1'000);
  Runtime runtime({.kthreads = 2});
  std::vector<std::thread> threads;
  WaitGroup all(kPairs);
  for (uint32_t pair = 0; pair < kPairs; ++pair) {
    threads.emplace_back([&] {
      Semaphore there;
      std::counting_semaphore<> back{0};
      std::counting_semaphore<> ended{0};
      Spawn([&] {
        for (uint32_t i = 0; i < rounds; ++i) {
          there.Acquire();
          back.release();
        }
        ended.release();
      });
      for (uint32_t i = 0; i < rounds; ++i) {
        there.Post();
        back.acquire();
      }
      ended.acquire();
      all.Done();
    });
  }
  runtime.Run([&] { all.Wait(); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(runtime.iokernel().Sum(kParks), 0u);
}

TEST(Park, AnIdleRuntimeSleeps) {
  Runtime runtime({.kthreads = 3, .shared_cpus = false});
  runtime.Run([] {});
  for (uint32_t k = 0; k < 3; ++k) {
    while (!runtime.iokernel().Parked(k)) std::this_thread::yield();
  }
  // Nobody is granted without work.
  const uint64_t grants = runtime.iokernel().grants();
  const uint64_t passes = runtime.iokernel().passes();
  while (runtime.iokernel().passes() < passes + 100) std::this_thread::yield();
  EXPECT_EQ(runtime.iokernel().grants(), grants);
}

TEST(Cede, ByWordAtTheNextSwitch) {
  Runtime runtime({.kthreads = 2});
  runtime.Run([&] {
    for (int i = 0; i < 20; ++i) {
      const uint32_t from = KthreadIndex();
      runtime.iokernel().GrantOnly(1 - from);
      while (KthreadIndex() == from) Yield();
    }
  });
}

}  // namespace
}  // namespace sluice
