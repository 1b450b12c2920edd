// preempt_test.cc - ceding by signal: the uthread that is interrupted stays with its kthread, all else may go on.
#include "runtime/sched/preempt.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include "sluice/sync.h"
#include "tests/lib/sanitized.h"
#include "tests/lib/test_runtime.h"

namespace sluice {
namespace {

using test::Count;
using test::KthreadIndex;
using test::Runtime;

constexpr auto kPreemptions = &abi::RuntimeCounters::preemptions;

// Uthreads here must not be interrupted while they hold the fake IOKernel's lock: it would wait for itself. Its
// cedes come between its passes, so GrantOnly is safe when no cede is under way.
class CedeBySignal : public testing::Test {
 protected:
  Runtime runtime_{{.kthreads = 2, .cede_by_signal = true}};
};

TEST_F(CedeBySignal, InterruptsAUthreadThatNeverGivesWay) {
  runtime_.Run([&] {
    // While the other kthread looks for work it may take this uthread over.
    while (!runtime_.iokernel().Parked(1 - KthreadIndex())) Yield();
    const uint32_t home = KthreadIndex();
    std::atomic<uint32_t> other_ran_on{~0u};
    Thread other([&] {
      while (!runtime_.iokernel().Parked(home)) Yield();
      other_ran_on = KthreadIndex();
      runtime_.iokernel().GrantOnly();  // and now both again
    });
    runtime_.iokernel().GrantOnly(1 - home);
    // `other` waits in this kthread's queue: it can only run if that is robbed while we have no core.
    while (other_ran_on == ~0u) test::StayBusy();
    EXPECT_EQ(other_ran_on, 1 - home);
    EXPECT_EQ(KthreadIndex(), home);
  });
  EXPECT_GT(runtime_.iokernel().Sum(kPreemptions), 0u);
}

TEST_F(CedeBySignal, WaitsUntilPreemptionIsOnAgain) {
  runtime_.Run([&] {
    const uint32_t home = KthreadIndex();
    uint64_t preemptions;
    {
      const sched::PreemptGuard guard;
      preemptions = sched::Current().counters().preemptions;
      runtime_.iokernel().GrantOnly(1 - home);
      // The handler has been here, and has left only its note.
      while ((arch::PreemptWord() & arch::kNoCedePending) != 0) test::StayBusy();
      EXPECT_EQ(KthreadIndex(), home);
      EXPECT_EQ(sched::Current().counters().preemptions, preemptions);
    }
    // At a safe point a uthread need not wait for its kthread.
    EXPECT_EQ(KthreadIndex(), 1 - home);
  });
}

TEST_F(CedeBySignal, ASignalWithoutACedeMeansNothing) {
  runtime_.Run([] {
    const uint32_t home = KthreadIndex();
    errno = EXDEV;
    raise(SIGURG);
    EXPECT_EQ(errno, EXDEV);
    EXPECT_EQ(KthreadIndex(), home);
  });
  raise(SIGURG);  // nor on a plain thread
  EXPECT_EQ(runtime_.iokernel().Sum(kPreemptions), 0u);
}

// Interrupted anywhere, also inside malloc: data, registers and errno are as before.
class CedeStorm : public testing::TestWithParam<uint64_t> {};

TEST_P(CedeStorm, NothingIsDisturbed) {
  Runtime runtime(
      {.kthreads = 4, .keep_all_granted = true, .cede_randomly = true, .cede_by_signal = true, .seed = GetParam()});
  runtime.Run([&] {
    Mutex mutex;
    uint64_t total = 0;
    std::vector<Thread> threads;
    for (uint64_t t = 0; t < 8; ++t) {
      threads.emplace_back([&, t] {
        std::mt19937_64 random(GetParam() * 100 + t);
        for (uint32_t i = 0; i < Count(20'000, 1'000); ++i) {
          const size_t size = random() % 600 + 1;
          auto* memory = static_cast<unsigned char*>(malloc(size));
          const auto fill = static_cast<unsigned char>(random());
          std::memset(memory, fill, size);
          double sum = 0;
          for (int k = 1; k < 50; ++k) sum += 1.0 / k;
          EXPECT_NEAR(sum, 4.479205338, 1e-9);
          EXPECT_TRUE(std::all_of(memory, memory + size, [fill](unsigned char c) { return c == fill; }));
          free(memory);
          if (i % 64 == 0) {
            const std::lock_guard lock(mutex);
            ++total;
            if (random() % 4 == 0) Yield();
          }
          if (random() % 256 == 0) Yield();
        }
      });
    }
    for (Thread& thread : threads) thread.Join();
    EXPECT_EQ(total, 8u * ((Count(20'000, 1'000) + 63) / 64));
  });
}
INSTANTIATE_TEST_SUITE_P(Seeds, CedeStorm, testing::Range<uint64_t>(1, 4));

}  // namespace
}  // namespace sluice
