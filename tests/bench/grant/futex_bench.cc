// futex_bench.cc - grants and cedes through the futex backend against the bare system calls, in one run.
//
//   Wake/GAP/BURNER  from the grant to the first instruction of a kthread on CPU 1 that has slept for GAP microseconds;
//                    BURNER 1: beside an idle burner, as with iokerneld's `idle_burner`
//   Cede             from the cede of a kthread that is busy on CPU 1 to its park, which it does in its signal handler;
//                    against a signal to a handler that only says so
//   Interrupt        from the request to the signal handler of a thread that spins on CPU 1
//
// Both sides take turns, one sample each, so that whatever the machine does hits both. `ratio_p50` and `ratio_p99`
// are ours to bare. A virtual CPU that was halted takes 20-30 us to come back: that is the gap of 5000.
#include <benchmark/benchmark.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "iokernel/abi/cede_signal.h"
#include "iokernel/abi/clock.h"
#include "iokernel/control/idle_burner.h"
#include "iokernel/grant/futex.h"
#include "tests/lib/futex_kthread.h"

namespace sluice {
namespace {

using abi::ReadTsc;
using abi::Ticks;

void BindTo(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

double NsPerTick() {
  static const double value = [] {
    const auto start = std::chrono::steady_clock::now();
    const Ticks first = ReadTsc();
    while (std::chrono::steady_clock::now() - start < std::chrono::milliseconds(20)) {
    }
    const Ticks last = ReadTsc();
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
    return took.count() / static_cast<double>(last - first);
  }();
  return value;
}

void Spin(uint64_t us) {
  const Ticks end = ReadTsc() + static_cast<Ticks>(static_cast<double>(us) * 1000 / NsPerTick());
  while (ReadTsc() < end) __builtin_ia32_pause();
}

class Samples {
 public:
  void Add(Ticks ticks) { ns_.push_back(static_cast<double>(ticks) * NsPerTick()); }
  double At(double quantile) {
    std::sort(ns_.begin(), ns_.end());
    return ns_[static_cast<size_t>(quantile * static_cast<double>(ns_.size() - 1))];
  }

 private:
  std::vector<double> ns_;
};

void Report(benchmark::State& state, Samples& ours, Samples& bare) {
  state.counters["p50_ns"] = ours.At(0.5);
  state.counters["p99_ns"] = ours.At(0.99);
  state.counters["bare_p50_ns"] = bare.At(0.5);
  state.counters["bare_p99_ns"] = bare.At(0.99);
  state.counters["ratio_p50"] = ours.At(0.5) / bare.At(0.5);
  state.counters["ratio_p99"] = ours.At(0.99) / bare.At(0.99);
}

// Sleeps on a futex, notes when it woke, sleeps again: nothing of ours.
class BareSleeper {
 public:
  BareSleeper()
      : thread_([this] {
          BindTo(1);
          for (uint32_t seen = 0;;) {
            while (word_.load(std::memory_order_acquire) == seen) test::FutexWait(word_, seen);
            seen = word_.load(std::memory_order_acquire);
            woke_.store(ReadTsc(), std::memory_order_release);
            if (stop_.load()) return;
          }
        }) {}
  ~BareSleeper() {
    stop_.store(true);
    Wake();
    thread_.join();
  }
  Ticks Wake() {
    woke_.store(0);
    const Ticks start = ReadTsc();
    word_.fetch_add(1);
    syscall(SYS_futex, &word_, FUTEX_WAKE, 1, nullptr, nullptr, 0);
    Ticks woke;
    while ((woke = woke_.load(std::memory_order_acquire)) == 0) __builtin_ia32_pause();
    return woke - start;
  }

 private:
  alignas(64) std::atomic<uint32_t> word_{0};
  alignas(64) std::atomic<Ticks> woke_{0};
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

void Wake(benchmark::State& state) {
  const auto gap_us = static_cast<uint64_t>(state.range(0));
  IdleBurner burner;
  const std::vector<uint16_t> cpus = {1};
  if (state.range(1) == 1 && !burner.Start(cpus).empty()) state.SkipWithError("no idle burner");
  BareSleeper bare;
  std::atomic<Ticks> woke{0};
  test::FutexKthread kthread([&](const abi::GrantHolder&) { woke.store(ReadTsc(), std::memory_order_release); });
  BindTo(0);
  FutexBackend backend({.core_cpus = {1}, .loop_cpu = 0, .thread_pidfds = true});
  const EnrolledThread thread{kthread.tid(), &kthread.grant.generation};
  backend.Enrol(0, getpid(), {&thread, 1}, Priority::kLatencyCritical);
  abi::GrantIssuer issuer(&kthread.signal, &kthread.grant);
  Samples ours, theirs;
  for (auto _ : state) {
    Spin(gap_us);
    woke.store(0);
    const Ticks start = ReadTsc();
    issuer.Grant(0, 1);
    backend.Wake(0, 0, 0);
    while (issuer.Poll() != abi::GrantEvent::kParked) __builtin_ia32_pause();
    ours.Add(woke.load(std::memory_order_acquire) - start);
    Spin(gap_us);
    theirs.Add(bare.Wake());
  }
  Report(state, ours, theirs);
}
BENCHMARK(Wake)->Args({20, 0})->Args({20, 1})->Iterations(3000)->UseRealTime();
BENCHMARK(Wake)->Args({300, 0})->Args({300, 1})->Iterations(1000)->UseRealTime();
BENCHMARK(Wake)->Args({5000, 0})->Args({5000, 1})->Iterations(100)->UseRealTime();

std::atomic<Ticks> handled{0};
void OnCedeSignal(int) { handled.store(ReadTsc(), std::memory_order_release); }

// Parks in its handler and waits there for the next grant, as a kthread of the runtime does in the middle of a uthread.
std::atomic<abi::GrantHolder*> cede_holder{nullptr};
std::atomic<bool> cede_over{false};
void ParkInHandler(int) {
  abi::GrantHolder* holder = cede_holder.load(std::memory_order_relaxed);
  if (holder == nullptr || !holder->CedeRequested()) {
    handled.store(1, std::memory_order_release);
    return;
  }
  holder->Park({.flags = abi::kParkPreempted});
  (void)holder->AwaitGrant([](const std::atomic<uint32_t>& word, uint32_t value) {
    test::FutexWait(word, value);
    return true;
  });
}

void Cede(benchmark::State& state) {
  struct sigaction action {};
  action.sa_handler = ParkInHandler;
  sigaction(abi::kCedeSignal, &action, nullptr);
  cede_over.store(false);
  test::FutexKthread kthread([](abi::GrantHolder& holder) {
    cede_holder.store(&holder);
    while (!cede_over.load(std::memory_order_relaxed)) __builtin_ia32_pause();
    cede_holder.store(nullptr);
  });
  BindTo(0);
  FutexBackend backend({.core_cpus = {1}, .loop_cpu = 0, .thread_pidfds = true});
  const EnrolledThread thread{kthread.tid(), &kthread.grant.generation};
  backend.Enrol(0, getpid(), {&thread, 1}, Priority::kLatencyCritical);
  abi::GrantIssuer issuer(&kthread.signal, &kthread.grant);
  const auto await = [&](abi::GrantEvent event) {
    while (issuer.Poll() != event) __builtin_ia32_pause();
  };
  const auto grant = [&] {
    issuer.Grant(0, 1);
    backend.Wake(0, 0, 0);
    await(abi::GrantEvent::kStarted);
    while (cede_holder.load() == nullptr) __builtin_ia32_pause();
    Spin(20);
  };
  grant();
  Samples ours, theirs;
  for (auto _ : state) {
    handled.store(0);
    Ticks start = ReadTsc();
    syscall(SYS_tgkill, getpid(), kthread.tid(), abi::kCedeSignal);
    while (handled.load(std::memory_order_acquire) == 0) __builtin_ia32_pause();
    theirs.Add(ReadTsc() - start);
    Spin(20);
    start = ReadTsc();
    issuer.Cede();
    backend.Interrupt(0, 0);
    await(abi::GrantEvent::kParked);
    ours.Add(ReadTsc() - start);
    grant();
  }
  Report(state, ours, theirs);
  cede_over.store(true);
  await(abi::GrantEvent::kParked);
}
BENCHMARK(Cede)->Iterations(3000)->UseRealTime();

void Interrupt(benchmark::State& state) {
  struct sigaction action {};
  action.sa_handler = OnCedeSignal;
  sigaction(abi::kCedeSignal, &action, nullptr);
  std::atomic<bool> stop{false};
  test::FutexKthread kthread([&](const abi::GrantHolder&) {
    while (!stop.load(std::memory_order_relaxed)) __builtin_ia32_pause();
  });
  BindTo(0);
  FutexBackend backend({.core_cpus = {1}, .loop_cpu = 0, .thread_pidfds = true});
  const EnrolledThread thread{kthread.tid(), &kthread.grant.generation};
  backend.Enrol(0, getpid(), {&thread, 1}, Priority::kLatencyCritical);
  abi::GrantIssuer issuer(&kthread.signal, &kthread.grant);
  issuer.Grant(0, 1);
  backend.Wake(0, 0, 0);
  const auto once = [](auto&& send) {
    handled.store(0);
    const Ticks start = ReadTsc();
    send();
    Ticks at;
    while ((at = handled.load(std::memory_order_acquire)) == 0) __builtin_ia32_pause();
    Spin(20);
    return at - start;
  };
  Samples ours, theirs;
  for (auto _ : state) {
    ours.Add(once([&] { backend.Interrupt(0, 0); }));
    theirs.Add(once([&] { syscall(SYS_tgkill, getpid(), kthread.tid(), abi::kCedeSignal); }));
  }
  Report(state, ours, theirs);
  stop.store(true);
  while (issuer.Poll() != abi::GrantEvent::kParked) __builtin_ia32_pause();
}
BENCHMARK(Interrupt)->Iterations(5000)->UseRealTime();

}  // namespace
}  // namespace sluice

BENCHMARK_MAIN();
