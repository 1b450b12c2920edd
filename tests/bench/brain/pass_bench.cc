// pass_bench.cc - what the allocator costs: a pass per polled kthread, and a decision for a sleeping app.
//
//   Pass/N/dirty   N running kthreads in 16 apps, every signal line written by another CPU before each pass
//   Pass/N/clean   the same, nobody writes: what is left when no line has to travel
//   BareRead/N     the limit: reading N dirtied lines, prefetched, and nothing else
//   Sleeping/N     16 running kthreads beside N apps that sleep with a timer each: what is attached must not cost;
//                  a pass, and the look of each turn of the loop between passes
//   Recording/N    a pass with decisions recorded against one without, in turns; N kthreads, all of them with a queue.
//                  share_of_loop: what recording adds, of a loop that makes a pass every 5 us
//   OnSent         a packet for a sleeping app, to the wake; and one for an app that is awake
//
// ns_per_kthread is the figure; it is the writes by another CPU that cost. Run on an idle machine of two CPUs.
#include <benchmark/benchmark.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "iokernel/brain/recorder.h"
#include "tests/lib/puppet.h"

namespace sluice {
namespace {

using test::MachineOptions;
using test::PuppetApp;

constexpr uint16_t kApps = 16;

void BindTo(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

struct QuietHost final : AllocatorHost {
  void OnParked(AppId, KthreadId) override {}
  void OnActiveChange(AppId) override {}
  void OnUnresponsive(AppId, KthreadId) override {}
};

// Another CPU writes every line once whenever it is asked to.
class Dirtier {
 public:
  explicit Dirtier(std::vector<abi::SignalLine*> lines) : lines_(std::move(lines)), thread_([this] { Run(); }) {}
  ~Dirtier() {
    round_.store(kStop);
    thread_.join();
  }
  void Dirty() {
    const uint32_t next = round_.load() + 1;
    round_.store(next);
    while (done_.load(std::memory_order_acquire) != next) __builtin_ia32_pause();
  }

 private:
  static constexpr uint32_t kStop = ~0u;
  void Run() {
    BindTo(1);
    uint32_t seen = 0;
    for (;;) {
      const uint32_t round = round_.load(std::memory_order_acquire);
      if (round == kStop) return;
      if (round == seen) continue;
      seen = round;
      for (abi::SignalLine* line : lines_) line->busy_ticks.store(round, std::memory_order_relaxed);
      done_.store(round, std::memory_order_release);
    }
  }
  std::vector<abi::SignalLine*> lines_;
  alignas(64) std::atomic<uint32_t> round_{0};
  alignas(64) std::atomic<uint32_t> done_{0};
  std::thread thread_;
};

// `kthreads` kthreads in kApps apps, all of them running.
struct Machine {
  explicit Machine(uint16_t kthreads) {
    AllocatorOptions options = MachineOptions(kthreads);
    options.grants_per_pass = kthreads;
    allocator = std::make_unique<Allocator>(options, backend, host);
    const uint16_t each = kthreads / kApps;
    for (AppId id = 0; id < kApps; id++) {
      apps.push_back(std::make_unique<PuppetApp>(id, each, each));
      allocator->Attach(apps.back()->spec, apps.back()->Memory());
      for (KthreadId k = 0; k < each; k++) allocator->OnSent(id, k, 1, now);
    }
    for (int i = 0; i < kthreads + 4; i++) {
      for (const auto& app : apps) app->StartAll();
      allocator->Pass(now += 5000);
    }
    for (const auto& app : apps) {
      for (KthreadId k = 0; k < each; k++) {
        (*app)[k].Take(1);
        lines.push_back(&(*app)[k].signal);
      }
    }
    allocator->Pass(now += 5000);
  }
  NullBackend backend;
  QuietHost host;
  std::unique_ptr<Allocator> allocator;
  std::vector<std::unique_ptr<PuppetApp>> apps;
  std::vector<abi::SignalLine*> lines;
  Ticks now = 1'000'000;
};

double NsPerTick() {
  // The counter runs at a constant rate; measured against the clock once.
  static const double value = [] {
    const auto start = std::chrono::steady_clock::now();
    const Ticks first = abi::ReadTsc();
    while (std::chrono::steady_clock::now() - start < std::chrono::milliseconds(20)) {
    }
    const Ticks last = abi::ReadTsc();
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
    return took.count() / static_cast<double>(last - first);
  }();
  return value;
}

// The median: the machine may be taken away from us in the middle of a pass.
double Median(std::vector<Ticks>& passes) {
  std::nth_element(passes.begin(), passes.begin() + passes.size() / 2, passes.end());
  return static_cast<double>(passes[passes.size() / 2]);
}

void PerKthread(benchmark::State& state, std::vector<Ticks>& passes) {
  state.counters["ns_per_kthread"] = Median(passes) * NsPerTick() / static_cast<double>(state.range(0));
}

void Pass(benchmark::State& state, bool dirty) {
  BindTo(0);
  Machine machine(static_cast<uint16_t>(state.range(0)));
  Dirtier dirtier(machine.lines);
  std::vector<Ticks> passes;
  passes.reserve(1 << 22);
  for (auto _ : state) {
    if (dirty) dirtier.Dirty();
    const Ticks start = abi::ReadTsc();
    machine.allocator->Pass(machine.now += 5000);
    passes.push_back(abi::ReadTsc() - start);
  }
  PerKthread(state, passes);
}
BENCHMARK_CAPTURE(Pass, dirty, true)->Arg(16)->Arg(256)->Arg(1024)->UseRealTime();
BENCHMARK_CAPTURE(Pass, clean, false)->Arg(16)->Arg(256)->Arg(1024)->UseRealTime();

void BareRead(benchmark::State& state) {
  BindTo(0);
  Machine machine(static_cast<uint16_t>(state.range(0)));
  Dirtier dirtier(machine.lines);
  const std::vector<abi::SignalLine*>& lines = machine.lines;
  std::vector<Ticks> passes;
  passes.reserve(1 << 22);
  for (auto _ : state) {
    dirtier.Dirty();
    const Ticks start = abi::ReadTsc();
    uint64_t sum = 0;
    for (size_t i = 0; i < lines.size(); i++) {
      if (i + 12 < lines.size()) __builtin_prefetch(lines[i + 12]);
      sum += lines[i]->busy_ticks.load(std::memory_order_relaxed);
    }
    benchmark::DoNotOptimize(sum);
    passes.push_back(abi::ReadTsc() - start);
  }
  PerKthread(state, passes);
}
BENCHMARK(BareRead)->Arg(16)->Arg(256)->Arg(1024)->UseRealTime();

void Sleeping(benchmark::State& state, bool between_passes) {
  BindTo(0);
  constexpr uint16_t kRunning = 16;
  NullBackend backend;
  QuietHost host;
  AllocatorOptions options = MachineOptions(kRunning);
  options.grants_per_pass = kRunning;
  Allocator allocator(options, backend, host);
  std::vector<std::unique_ptr<PuppetApp>> apps;
  Ticks now = 1'000'000;
  // First all of them run once and park with a timer that is far away, then the last one keeps the cores.
  for (AppId id = 0; id < state.range(0); id++) {
    apps.push_back(std::make_unique<PuppetApp>(id, uint16_t{1}));
    PuppetApp& app = *apps.back();
    allocator.Attach(app.spec, app.Memory());
    allocator.OnSent(id, 0, 1, now);
    app[0].Start();
    app[0].Take(1);
    app[0].next_timer = now + (Ticks{1} << 40) + id;
    app[0].Park();
    allocator.Pass(now += 5000);
  }
  PuppetApp busy(kMaxApps - 1, kRunning);
  allocator.Attach(busy.spec, busy.Memory());
  for (KthreadId k = 0; k < kRunning; k++) allocator.OnSent(busy.spec.id, k, 1, now);
  for (int i = 0; i < kRunning + 4; i++) {
    busy.StartAll();
    allocator.Pass(now += 5000);
  }
  for (KthreadId k = 0; k < kRunning; k++) busy[k].Take(1);
  for (auto _ : state) between_passes ? allocator.Urgent(now) : allocator.Pass(now += 5000);
}
BENCHMARK_CAPTURE(Sleeping, pass, false)->Arg(0)->Arg(16)->Arg(64)->Arg(255);
BENCHMARK_CAPTURE(Sleeping, between_passes, true)->Arg(0)->Arg(1)->Arg(16)->Arg(64)->Arg(255);

void Recording(benchmark::State& state) {
  BindTo(0);
  Machine machine(static_cast<uint16_t>(state.range(0)));
  Recorder& recorder = machine.allocator->recorder();
  std::vector<std::byte> scratch(Recorder::kRingBytes);
  std::vector<Ticks> off, on;
  const auto passes = [&](std::vector<Ticks>& took) {
    for (int i = 0; i < 64; i++) {
      // A uthread comes and one goes, and one is always there.
      for (abi::SignalLine* line : machine.lines) {
        line->rq_head.store(line->rq_tail.load());
        line->rq_tail.store(line->rq_tail.load() + 1);
      }
      const Ticks start = abi::ReadTsc();
      machine.allocator->Pass(machine.now += 5000);
      took.push_back(abi::ReadTsc() - start);
    }
  };
  for (auto _ : state) {
    passes(off);
    if (!recorder.Start()) state.SkipWithError("the last recording has not ended");
    machine.allocator->Pass(machine.now += 5000);
    passes(on);
    recorder.Stop();
    machine.allocator->Pass(machine.now += 5000);
    while (recorder.Read(scratch) > 0) {
    }
  }
  const double without = Median(off) * NsPerTick(), with = Median(on) * NsPerTick();
  state.counters["pass_ns"] = without;
  state.counters["recorded_pass_ns"] = with;
  state.counters["share_of_loop"] = (with - without) / 5000;
  state.counters["dropped"] = static_cast<double>(recorder.dropped());
}
BENCHMARK(Recording)->Arg(16)->Arg(64)->Arg(256)->Arg(1024)->UseRealTime();

// From the packet to the wake, and what puts everything back: two passes and a park.
void ArrivalAsleep(benchmark::State& state) {
  NullBackend backend;
  QuietHost host;
  Allocator allocator(MachineOptions(static_cast<uint16_t>(state.range(0))), backend, host);
  PuppetApp app(0, 4);
  allocator.Attach(app.spec, app.Memory());
  Ticks now = 1'000'000;
  for (auto _ : state) {
    const auto start = std::chrono::steady_clock::now();
    allocator.OnArrival(0, now);
    const KthreadId k = allocator.View(0).active[0];
    allocator.OnSent(0, k, 1, now);
    state.SetIterationTime(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    app[k].Start();
    app[k].Take(1);
    app[k].Park();
    allocator.Pass(now += 5000);
  }
}
BENCHMARK(ArrivalAsleep)->Arg(4)->Arg(64)->Arg(1024)->UseManualTime();

void OnSentAwake(benchmark::State& state) {
  NullBackend backend;
  QuietHost host;
  Allocator allocator(MachineOptions(4), backend, host);
  PuppetApp app(0, 4);
  allocator.Attach(app.spec, app.Memory());
  Ticks now = 1'000'000;
  allocator.OnSent(0, 0, 1, now);
  for (auto _ : state) allocator.OnSent(0, 0, 1, now += 100);
}
BENCHMARK(OnSentAwake);

void ClockOverhead(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(std::chrono::steady_clock::now());
}
BENCHMARK(ClockOverhead);

}  // namespace
}  // namespace sluice

BENCHMARK_MAIN();
