// sched_bench.cc - what a uthread costs: switching, starting, waiting, locking. One kthread, which has a CPU of its
// own if there are two; compare lines of one run, the machine's speed changes between runs.
#include <benchmark/benchmark.h>

#include <atomic>
#include <functional>

#include "runtime/arch/x86_64/context.h"
#include "sluice/sync.h"
#include "tests/lib/test_runtime.h"

namespace sluice {
namespace {

// Runs a benchmark's body in a uthread.
void InUthread(benchmark::State& state, const std::function<void(benchmark::State&)>& body) {
  test::Runtime runtime({.kthreads = 1, .shared_cpus = false});
  runtime.Run([&] { body(state); });
}

// Reference: two locked operations on a line of this CPU's.
void TwoLockedOperations(benchmark::State& state) {
  InUthread(state, [](benchmark::State& s) {
    std::atomic<uint32_t> word{0};
    for (auto _ : s) {
      uint32_t expected = 0;
      benchmark::DoNotOptimize(word.compare_exchange_strong(expected, 1, std::memory_order_acquire));
      expected = 1;
      benchmark::DoNotOptimize(word.compare_exchange_strong(expected, 0, std::memory_order_release));
    }
  });
}
BENCHMARK(TwoLockedOperations);

void MutexUncontended(benchmark::State& state) {
  InUthread(state, [](benchmark::State& s) {
    Mutex mutex;
    for (auto _ : s) {
      mutex.lock();
      benchmark::ClobberMemory();
      mutex.unlock();
    }
  });
}
BENCHMARK(MutexUncontended);

// Two uthreads that yield to each other: an iteration is one yield.
void YieldPair(benchmark::State& state) {
  InUthread(state, [](benchmark::State& s) {
    bool stop = false;
    Thread other([&] {
      while (!stop) Yield();
    });
    bool count = false;
    for (auto _ : s) {
      if ((count = !count)) Yield();  // and the other yields once
    }
    stop = true;
  });
}
BENCHMARK(YieldPair);

void YieldAmong(benchmark::State& state) {
  InUthread(state, [](benchmark::State& s) {
    const auto uthreads = static_cast<int64_t>(s.range(0));
    bool stop = false;
    std::vector<Thread> others;
    for (int64_t i = 1; i < uthreads; ++i) {
      others.emplace_back([&] {
        while (!stop) Yield();
      });
    }
    while (s.KeepRunningBatch(uthreads)) Yield();
    stop = true;
    for (Thread& other : others) other.Join();
  });
}
BENCHMARK(YieldAmong)->Arg(2)->Arg(10)->Arg(100)->Arg(200);

void SpawnJoin(benchmark::State& state) {
  InUthread(state, [](benchmark::State& s) {
    for (auto _ : s) Thread([] {}).Join();
  });
}
BENCHMARK(SpawnJoin);

// Two uthreads that take turns under one mutex: an iteration is one hand-over.
void CondVarHandOver(benchmark::State& state) {
  InUthread(state, [](benchmark::State& s) {
    Mutex mutex;
    CondVar turned;
    bool mine = true;
    bool stop = false;
    Thread other([&] {
      const std::lock_guard lock(mutex);
      while (!stop) {
        while (mine && !stop) turned.Wait(mutex);
        mine = true;
        turned.Signal();
      }
    });
    {
      const std::lock_guard lock(mutex);
      while (s.KeepRunningBatch(2)) {
        mine = false;
        turned.Signal();
        while (!mine) turned.Wait(mutex);
      }
      stop = true;
      mine = false;
      turned.Signal();
    }
  });
}
BENCHMARK(CondVarHandOver);

void SemaphoreHandOver(benchmark::State& state) {
  InUthread(state, [](benchmark::State& s) {
    Semaphore there, back;
    bool stop = false;
    Thread other([&] {
      for (there.Acquire(); !stop; there.Acquire()) back.Post();
    });
    while (s.KeepRunningBatch(2)) {
      there.Post();
      back.Acquire();
    }
    stop = true;
    there.Post();
  });
}
BENCHMARK(SemaphoreHandOver);

}  // namespace
}  // namespace sluice

BENCHMARK_MAIN();
