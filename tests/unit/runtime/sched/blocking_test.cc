// blocking_test.cc - calls that block in the kernel leave the kthread to others.
#include "sluice/blocking.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <semaphore>
#include <stdexcept>
#include <string>
#include <vector>

#include "sluice/sync.h"
#include "tests/lib/test_runtime.h"

namespace sluice {
namespace {

using test::Runtime;

TEST(Blocking, ReturnsWhatTheFunctionReturns) {
  Runtime runtime({.kthreads = 2});
  runtime.Run([] {
    EXPECT_EQ(Blocking([] { return std::string("text"); }), "text");
    std::unique_ptr<int> owned = Blocking([] { return std::make_unique<int>(3); });
    EXPECT_EQ(*owned, 3);
    bool called = false;
    Blocking([&] { called = true; });
    EXPECT_TRUE(called);
  });
}

TEST(Blocking, RunsOnAPlainThread) {
  Runtime runtime({.kthreads = 2});
  runtime.Run([] {
    const pid_t kthreads[] = {sched::ThreadIds()[0], sched::ThreadIds()[1]};
    Blocking([&] {
      EXPECT_EQ(arch::CurrentKthread(), nullptr);
      EXPECT_NE(gettid(), kthreads[0]);
      EXPECT_NE(gettid(), kthreads[1]);
    });
  });
  // On a plain thread it is just a call.
  const pid_t here = gettid();
  EXPECT_EQ(Blocking([] { return gettid(); }), here);
}

TEST(Blocking, OtherUthreadsRunMeanwhile) {
  Runtime runtime({.kthreads = 1});
  runtime.Run([] {
    std::binary_semaphore released{0};
    Thread other([&] { released.release(); });
    Blocking([&] { released.acquire(); });
  });
}

// More than there are threads for: the others wait their turn.
TEST(Blocking, AnyNumberAtATime) {
  Runtime runtime({.kthreads = 2});
  runtime.Run([] {
    std::atomic<unsigned> running{0};
    std::atomic<unsigned> most{0};
    std::counting_semaphore<> release{0};
    std::vector<Thread> callers;
    for (unsigned i = 0; i < 3 * kMaxBlockingThreads; ++i) {
      callers.emplace_back([&] {
        Blocking([&] {
          const unsigned now = ++running;
          for (unsigned was = most; was < now && !most.compare_exchange_weak(was, now);) {
          }
          release.acquire();
          --running;
        });
      });
    }
    while (running < kMaxBlockingThreads) Yield();
    release.release(3 * kMaxBlockingThreads);
    for (Thread& caller : callers) caller.Join();
    EXPECT_EQ(most, kMaxBlockingThreads);
  });
}

TEST(Blocking, MayWakeAndSpawn) {
  Runtime runtime({.kthreads = 2});
  runtime.Run([] {
    Semaphore posted;
    WaitGroup done(1);
    Blocking([&] {
      posted.Post();
      Spawn([&] { done.Done(); });
    });
    posted.Acquire();
    done.Wait();
  });
}

TEST(BlockingDeathTest, AnExceptionDoesNotCross) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_DEATH(Runtime({.kthreads = 1}).Run([] { Blocking([] { throw std::runtime_error("from afar"); }); }),
               "from afar");
}

}  // namespace
}  // namespace sluice
