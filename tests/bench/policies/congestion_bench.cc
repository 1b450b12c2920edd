// Congestion: ns per polled kthread, of apps that have 16 each, at 16, 256 and 1024 kthreads; and Hermes's check of the
// heap's top, for comparison with its 14.9 ns (and with 17 ns per kthread scanned).
//
// One iteration is one pass over all apps; the figure is `per_kthread`. What a pass pays to read the signal lines,
// which other cores write, is not in it: see allocator_bench.
#include <benchmark/benchmark.h>

#include <memory>
#include <random>
#include <vector>

#include "policies/registry.h"

namespace sluice {
namespace {

constexpr uint16_t kKthreadsPerApp = 16;
constexpr Ticks kInterval = 5000;
constexpr size_t kPasses = 16;  // different ones, so that the branches are not learned by heart

// A third of the kthreads have something queued, a few for long.
std::vector<KthreadSignals> RandomSignals(std::mt19937& random, uint16_t kthreads, Ticks now) {
  std::vector<KthreadSignals> signals(kthreads);
  for (uint16_t i = 0; i < kthreads; i++) {
    KthreadSignals& s = signals[i];
    s.kthread = i % kKthreadsPerApp;
    s.rq_head = static_cast<uint32_t>(now);
    s.rq_tail = s.rq_head + (random() % 3 == 0 ? 2 : 0);
    s.rx_consumed = s.rx_sent = static_cast<uint32_t>(now);
    if (random() % 3 == 0) s.oldest_uthread = now - random() % 12'000;
    if (random() % 6 == 0) s.oldest_packet = now - random() % 12'000;
    s.busy = now * 8 / 10;
  }
  return signals;
}

void Poll(benchmark::State& state, const char* text) {
  const auto kthreads = static_cast<uint16_t>(state.range(0));
  const auto apps = static_cast<AppId>(kthreads / kKthreadsPerApp);
  const auto policy = MakeCongestion(text, {.interval = kInterval});
  for (AppId app = 0; app < apps; app++) policy->Attach(app, kKthreadsPerApp);
  std::mt19937 random(1);
  std::vector<std::vector<KthreadSignals>> passes;
  for (size_t pass = 0; pass < kPasses; pass++) passes.push_back(RandomSignals(random, kthreads, 1'000'000));
  Ticks now = 1'000'000;
  size_t pass = 0;
  for (auto _ : state) {
    const std::span<const KthreadSignals> all(passes[pass++ % kPasses]);
    for (AppId app = 0; app < apps; app++) {
      benchmark::DoNotOptimize(policy->Poll(app, all.subspan(size_t{app} * kKthreadsPerApp, kKthreadsPerApp), now));
    }
    now += kInterval / kPasses;
  }
  state.counters["per_kthread"] =
      benchmark::Counter(kthreads, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

std::unique_ptr<PriorityHeap> FilledHeap(uint16_t apps) {
  auto heap = std::make_unique<PriorityHeap>(CongestionOptions{});
  for (AppId app = 0; app < apps; app++) {
    heap->Attach(app, kKthreadsPerApp);
    heap->OnOldest(app, 1 + app * 7919u % 1000);
  }
  return heap;
}

// Peek: is anybody congested?
void HeapCheck(benchmark::State& state) {
  const auto heap = FilledHeap(static_cast<uint16_t>(state.range(0)));
  Ticks now = 1000;
  for (auto _ : state) {
    benchmark::DoNotOptimize(heap->Check(now));
    benchmark::DoNotOptimize(now ^= 8192);
  }
}

// The event: an app's oldest waiting item has changed, to the newest of all: it sinks all the way down.
void HeapEvent(benchmark::State& state) {
  const auto apps = static_cast<uint16_t>(state.range(0));
  const auto heap = FilledHeap(apps);
  Ticks now = 2000;
  uint32_t app = 0;
  for (auto _ : state) {
    heap->OnOldest(static_cast<AppId>(app), now++);
    app = (app + 7) % apps;
  }
}

BENCHMARK_CAPTURE(Poll, standing_queue, "standing-queue")->Arg(16)->Arg(256)->Arg(1024);
BENCHMARK_CAPTURE(Poll, delay, "delay:10us")->Arg(16)->Arg(256)->Arg(1024);
BENCHMARK_CAPTURE(Poll, delay_range, "delay:5us..20us")->Arg(16)->Arg(256)->Arg(1024);
BENCHMARK_CAPTURE(Poll, utilization, "utilization")->Arg(16)->Arg(256)->Arg(1024);
BENCHMARK_CAPTURE(Poll, priority_heap, "priority-heap")->Arg(16)->Arg(256)->Arg(1024);
BENCHMARK(HeapCheck)->Arg(1)->Arg(16)->Arg(256);
BENCHMARK(HeapEvent)->Arg(1)->Arg(16)->Arg(256);

}  // namespace
}  // namespace sluice
