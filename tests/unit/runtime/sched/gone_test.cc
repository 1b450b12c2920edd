// gone_test.cc - the IOKernel goes away: uthreads go on, on kthreads that have become ordinary threads.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <future>
#include <vector>

#include "sluice/sync.h"
#include "tests/lib/test_runtime.h"

namespace sluice {
namespace {

using namespace std::chrono_literals;
using test::Runtime;

// Threads, locks, timers, and a plain pthread that wakes.
void UseEverything() {
  Mutex mutex;
  CondVar changed;
  int round = 0;
  std::vector<Thread> threads;
  threads.reserve(10);
  for (int me = 0; me < 10; ++me) {
    threads.emplace_back([&, me] {
      const std::lock_guard lock(mutex);
      while (round % 10 != me) changed.Wait(mutex);
      ++round;
      changed.Broadcast();
    });
  }
  const auto start = Now();
  Sleep(2ms);
  EXPECT_GE(Now() - start, 2ms);
  for (Thread& thread : threads) thread.Join();
  EXPECT_EQ(round, 10);
  Semaphore posted;
  std::thread poster([&] { posted.Post(); });
  posted.Acquire();
  poster.join();
}

TEST(IoKernelGone, ParkedKthreadsGoOn) {
  Runtime runtime({.kthreads = 3});
  runtime.Run(UseEverything);
  runtime.iokernel().Stop();
  EXPECT_FALSE(sched::IsIoKernelGone());
  sched::IoKernelGone();
  EXPECT_TRUE(sched::IsIoKernelGone());
  for (int i = 0; i < 3; ++i) runtime.Run(UseEverything);
  sched::IoKernelGone();  // once more does no harm
  runtime.Run(UseEverything);
}

TEST(IoKernelGone, BusyKthreadsGoOn) {
  Runtime runtime({.kthreads = 3});
  runtime.Run([&] {
    std::atomic<bool> stop{false};
    std::vector<Thread> busy;
    busy.reserve(6);
    for (int i = 0; i < 6; ++i) {
      busy.emplace_back([&] {
        while (!stop) Yield();
      });
    }
    std::thread([&] {
      runtime.iokernel().Stop();
      sched::IoKernelGone();
      stop = true;
    }).join();
    UseEverything();
  });
}

TEST(IoKernelGone, BeforeTheFirstGrant) {
  test::FakeIoKernel iokernel({.kthreads = 2});
  ASSERT_TRUE(sched::Start({.region = iokernel.view(), .shared_cpus = true}));
  EXPECT_EQ(sched::ThreadIds().size(), 2u);
  sched::IoKernelGone();
  std::promise<void> done;
  ASSERT_TRUE(sched::SpawnFromOutside([&] {
    UseEverything();
    done.set_value();
  }));
  done.get_future().wait();
  sched::Stop();
  sched::Join();
}

TEST(IoKernelGone, WithAUthreadThatWasInterrupted) {
  Runtime runtime({.kthreads = 2, .cede_by_signal = true});
  std::atomic<bool> go_on{false};
  std::promise<uint32_t> started;
  std::promise<void> done;
  ASSERT_TRUE(sched::SpawnFromOutside([&] {
    started.set_value(test::KthreadIndex());
    while (!go_on) test::StayBusy();
    done.set_value();
  }));
  const uint32_t home = started.get_future().get();
  runtime.iokernel().GrantOnly(1 - home);
  while (!runtime.iokernel().Parked(home)) std::this_thread::yield();
  runtime.iokernel().Stop();
  go_on = true;
  sched::IoKernelGone();
  done.get_future().wait();
}

std::atomic<int> hook_runs{0};
detail::SpinLock hook_lock;
detail::WaitQueue hook_queue;

TEST(IoKernelGone, HooksRunOnceAndWakeWhoWaits) {
  static sched::GoneHook hook{[](void* arg) {
                                ++hook_runs;
                                EXPECT_EQ(arg, &hook_runs);
                                hook_lock.Lock();
                                detail::Waiter* all = hook_queue.TakeAll(detail::WakeReason::kGone);
                                hook_lock.Unlock();
                                detail::Wake(all);
                              },
                              &hook_runs};
  static const bool added = (sched::AddGoneHook(&hook), true);  // once, also where tests are repeated
  ASSERT_TRUE(added);
  hook_runs = 0;
  Runtime runtime({.kthreads = 2});
  std::promise<detail::WakeReason> reason;
  std::promise<void> waits;
  ASSERT_TRUE(sched::SpawnFromOutside([&] {
    hook_lock.Lock();
    waits.set_value();
    reason.set_value(hook_queue.Wait(hook_lock));
  }));
  waits.get_future().wait();
  sched::IoKernelGone();
  EXPECT_EQ(reason.get_future().get(), detail::WakeReason::kGone);
  runtime.Run(UseEverything);
  EXPECT_EQ(hook_runs, 1);
}

TEST(Scheduler, StopsWithoutEverHavingRun) {
  test::FakeIoKernel iokernel({.kthreads = 4});
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(sched::Start({.region = iokernel.view(), .shared_cpus = true}));
    sched::Stop();
    sched::Join();
  }
}

TEST(Scheduler, StartsAgain) {
  for (int i = 0; i < 20; ++i) Runtime({.kthreads = 2}).Run(UseEverything);
}

TEST(Scheduler, StoppedByAUthreadLeavesTheOthersWhereTheyAre) {
  test::FakeIoKernel iokernel({.kthreads = 2});
  ASSERT_TRUE(sched::Start({.region = iokernel.view(), .shared_cpus = true}));
  iokernel.Run();
  ASSERT_TRUE(sched::SpawnFromOutside([] {
    for (int i = 0; i < 10; ++i) {
      Spawn([] { Sleep(1h); });
      Spawn([] {
        for (;;) Yield();
      });
    }
    Sleep(1ms);
    sched::Stop();
  }));
  sched::Join();
}

}  // namespace
}  // namespace sluice
