// calibrate.cc - what things cost on this machine, of many tries, on two CPUs. Packets through the dataplane, protocols
// and cold caches are not measured here (see steering_bench, net_bench): those costs keep their defaults.
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <functional>
#include <thread>
#include <vector>

#include "apps/simulator/commands.h"
#include "iokernel/brain/allocator.h"

namespace sluice::sim {
namespace {

uint64_t NowNs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

Time Median(std::vector<double> ns) {
  std::nth_element(ns.begin(), ns.begin() + static_cast<std::ptrdiff_t>(ns.size() / 2), ns.end());
  return static_cast<Time>(std::max(0.0, ns[ns.size() / 2]) * static_cast<double>(kNs));
}

// The least disturbed of up to 31 tries of `count` rounds of `work`: what one takes. No new try after a second.
Time Each(uint32_t count, const std::function<void()>& work) {
  constexpr uint64_t kLongEnoughNs = 1'000'000'000;
  std::vector<double> tries;
  const uint64_t begin = NowNs();
  while (tries.size() < 31 && (tries.empty() || NowNs() - begin < kLongEnoughNs)) {
    const uint64_t start = NowNs();
    work();
    tries.push_back(static_cast<double>(NowNs() - start) / count);
  }
  return static_cast<Time>(*std::min_element(tries.begin(), tries.end()) * static_cast<double>(kNs));
}

// Waits by looking; where the other thread has no CPU of its own, by giving way to it.
template <class Done>
void SpinUntil(Done&& done) {
  constexpr int kPatience = 10'000;
  for (int i = 0; !done(); ++i) {
    if (i >= kPatience) sched_yield();
  }
}

void Pin(uint32_t index) {
  cpu_set_t allowed, one;
  sched_getaffinity(0, sizeof allowed, &allowed);
  CPU_ZERO(&one);
  for (uint32_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &allowed) && index-- == 0) CPU_SET(cpu, &one);
  }
  if (CPU_COUNT(&one) > 0) sched_setaffinity(0, sizeof one, &one);
}

struct Quiet final : GrantBackend, AllocatorHost {
  [[nodiscard]] std::string_view name() const override { return "quiet"; }
  void Enrol(AppId, pid_t, std::span<const EnrolledThread>, Priority) override {}
  void Release(AppId) override {}
  void Wake(AppId, KthreadId, CoreId) override {}
  void Interrupt(AppId, KthreadId) override {}
  void Evict(AppId, KthreadId) override {}
  void OnParked(AppId, KthreadId) override {}
  void OnActiveChange(AppId) override {}
  void OnUnresponsive(AppId, KthreadId) override {}
};

// A pass over `kthreads` running ones, their lines in this core's cache.
Time MeasurePass(uint16_t kthreads) {
  Quiet quiet;
  AllocatorOptions options;
  for (uint16_t i = 0; i < std::max<uint16_t>(kthreads, 1); ++i) options.cores.push_back({.cpu = i});
  options.interval = 5000;
  Allocator allocator(options, quiet, quiet);
  abi::AppLine line{};
  std::vector<abi::SignalLine> signals(std::max<uint16_t>(kthreads, 1));
  std::vector<abi::GrantLine> grants(signals.size());
  AppMemory memory{.line = &line, .kthreads = {}};
  for (size_t k = 0; k < signals.size(); ++k) {
    signals[k].next_timer.store(abi::kNoTimer);
    memory.kthreads.push_back({&signals[k], &grants[k]});
  }
  const auto all = static_cast<uint16_t>(signals.size());
  allocator.Attach({.id = 0, .kthreads = all, .guaranteed = all}, memory);
  abi::Ticks now = 1'000'000;
  for (KthreadId k = 0; k < kthreads; ++k) allocator.OnSent(0, k, 1, now);
  for (int i = 0; i < 2000 && allocator.share(0).held < kthreads; ++i) {
    allocator.Pass(now += 5000);
    for (size_t k = 0; k < all; ++k) signals[k].running.store(grants[k].generation.load());
  }
  for (size_t k = 0; k < all; ++k) signals[k].rx_consumed.store(1);
  constexpr uint32_t kPasses = 2000;
  return Each(kPasses, [&] {
    for (uint32_t i = 0; i < kPasses; ++i) allocator.Pass(now += 5000);
  });
}

// Half of a message's way there and back between two CPUs.
Time MeasureHop() {
  constexpr uint32_t kRounds = 200;
  alignas(64) std::atomic<uint64_t> ping{0};
  alignas(64) std::atomic<uint64_t> pong{0};
  std::jthread echo([&](const std::stop_token& stop) {
    Pin(1);
    for (uint64_t seen = 0; !stop.stop_requested(); pong.store(seen, std::memory_order_release)) {
      SpinUntil([&] { return stop.stop_requested() || ping.load(std::memory_order_acquire) != seen; });
      seen = ping.load(std::memory_order_acquire);
    }
  });
  uint64_t value = 0;
  return Each(2 * kRounds, [&] {
    for (uint32_t i = 0; i < kRounds; ++i) {
      ping.store(++value, std::memory_order_release);
      SpinUntil([&] { return pong.load(std::memory_order_acquire) == value; });
    }
  });
}

struct Pair {
  Time there = 0;   // until the other thread runs
  Time caller = 0;  // what it costs the one that calls
};

// A futex wake of a thread that has slept a little, as a grant is.
Pair MeasureWake() {
  std::atomic<uint32_t> word{0};
  std::atomic<uint64_t> ran{0};
  constexpr uint32_t kTries = 200;
  std::jthread sleeper([&] {
    Pin(1);
    for (uint32_t seen = 0; seen < kTries;) {
      syscall(SYS_futex, &word, FUTEX_WAIT, seen, nullptr, nullptr, 0);
      if (word.load() == seen) continue;
      seen = word.load();
      ran.store(NowNs());
    }
  });
  std::vector<double> there, caller;
  for (uint32_t i = 1; i <= kTries; ++i) {
    const timespec nap{.tv_sec = 0, .tv_nsec = 20'000};
    nanosleep(&nap, nullptr);
    ran.store(0);
    const uint64_t start = NowNs();
    word.store(i);
    syscall(SYS_futex, &word, FUTEX_WAKE, 1, nullptr, nullptr, 0);
    caller.push_back(static_cast<double>(NowNs() - start));
    SpinUntil([&] { return ran.load() != 0; });
    there.push_back(static_cast<double>(ran.load() - start));
  }
  return {Median(there), Median(caller)};
}

std::atomic<uint64_t> handled{0};
extern "C" void OnCalibrationSignal(int) { handled.store(NowNs()); }

// A signal to a thread that computes, as a cede signal is.
Pair MeasureSignal() {
  struct sigaction action {};
  struct sigaction before {};
  action.sa_handler = OnCalibrationSignal;
  sigaction(SIGUSR1, &action, &before);
  std::atomic<pid_t> tid{0};
  std::jthread spinner([&](const std::stop_token& stop) {
    Pin(1);
    tid.store(gettid());
    while (!stop.stop_requested()) asm volatile("pause");
  });
  SpinUntil([&] { return tid.load() != 0; });
  std::vector<double> there, caller;
  for (int i = 0; i < 200; ++i) {
    handled.store(0);
    const uint64_t start = NowNs();
    syscall(SYS_tgkill, getpid(), tid.load(), SIGUSR1);
    caller.push_back(static_cast<double>(NowNs() - start));
    SpinUntil([&] { return handled.load() != 0; });
    there.push_back(static_cast<double>(handled.load() - start));
  }
  spinner = {};
  sigaction(SIGUSR1, &before, nullptr);
  return {Median(there), Median(caller)};
}

}  // namespace

Costs Calibrate() {
  cpu_set_t allowed;
  sched_getaffinity(0, sizeof allowed, &allowed);
  Pin(0);
  Costs costs;
  costs.pass = MeasurePass(0);
  const Time pass_of_64 = MeasurePass(64);
  costs.poll = pass_of_64 > costs.pass ? (pass_of_64 - costs.pass) / 64 : 0;
  costs.ring_hop = MeasureHop();
  const Pair wake = MeasureWake();
  costs.wake = wake.there;
  costs.grant = wake.caller;
  const Pair signal = MeasureSignal();
  costs.preempt = signal.there;
  costs.signal = signal.caller;
  // Made of what was measured: two lines to and fro for a theft, one for a flow's state, a signal for a slice.
  costs.steal = 2 * costs.ring_hop;
  costs.cold_flow = costs.ring_hop;
  costs.slice = costs.signal;
  sched_setaffinity(0, sizeof allowed, &allowed);
  return costs;
}

}  // namespace sluice::sim
