// Steering: ns per packet, by policy and number of flows; the bare lookup beside it; and memory per flow.
//
// Bursts of 32 packets of random flows, five active kthreads of eight. One iteration is one burst; the figure is
// `per_packet`.
#include <benchmark/benchmark.h>

#include <map>
#include <memory>
#include <random>
#include <vector>

#include "policies/steering/flow_affinity.h"
#include "policies/steering/flow_affinity_hybrid.h"
#include "policies/steering/flow_map.h"
#include "policies/steering/flow_table.h"
#include "policies/steering/round_robin.h"
#include "policies/steering/rss.h"
#include "tests/unit/policies/fake_app.h"

namespace sluice {
namespace {

constexpr size_t kBurst = 32;
constexpr size_t kPackets = 1 << 20;
constexpr uint16_t kKthreads = 8;

// Made once per number of flows: filling 700 000 takes longer than measuring.
struct Load {
  explicit Load(uint32_t count) : flows(count), packets(kPackets) {
    for (uint32_t i = 0; i < count; i++) flows[i] = testing::FlowHash(i);
    std::mt19937 random(7);
    for (uint32_t& packet : packets) packet = flows[random() % flows.size()];
  }
  std::vector<uint32_t> flows, packets;
};

const Load& LoadOf(uint32_t count) {
  static std::map<uint32_t, std::unique_ptr<Load>> loads;
  auto& load = loads[count];
  if (!load) load = std::make_unique<Load>(count);
  return *load;
}

void SetPerPacket(benchmark::State& state) {
  using benchmark::Counter;
  state.counters["per_packet"] =
      Counter(kBurst, Counter::kIsIterationInvariantRate | Counter::kInvert, Counter::kIs1000);
}

// Every flow has had a packet, and time to get its home.
template <class P>
void Warm(P& policy, testing::FakeApp& app, const Load& load, std::span<KthreadId> out) {
  Hints hints;
  for (size_t at = 0; at < load.flows.size(); at += 1024) {
    const auto some = std::span(load.flows).subspan(at, std::min<size_t>(1024, load.flows.size() - at));
    policy.SteerBurst(app.view(), some, out.first(some.size()), 0, hints);
    policy.Idle(1024, 0);
  }
}

template <class P>
void Steer(benchmark::State& state) {
  const auto count = static_cast<uint32_t>(state.range(0));
  const Load& load = LoadOf(count);
  uint16_t kthreads = kKthreads;
  benchmark::DoNotOptimize(kthreads);  // a daemon does not know it when it is compiled
  P policy(SteeringOptions{.max_kthreads = kthreads, .cores = kthreads, .flows = count});
  testing::FakeApp app(kthreads, kthreads);
  for (KthreadId k = 0; k < 5; k++) app.Run(k, k);
  policy.OnActiveChange(app.view());
  Hints hints;
  std::vector<KthreadId> out(load.flows.size());
  Warm(policy, app, load, out);
  size_t at = 0;
  for (auto _ : state) {
    policy.SteerBurst(app.view(), std::span(load.packets).subspan(at, kBurst), std::span(out).first(kBurst), 0, hints);
    benchmark::DoNotOptimize(out.data());
    benchmark::ClobberMemory();
    at = (at + kBurst) % kPackets;
  }
  SetPerPacket(state);
  if constexpr (requires { P::TableBytes(count); }) {
    state.counters["bytes_per_flow"] = static_cast<double>(P::TableBytes(count)) / count;
  }
}

// The limit for flow-affinity: nothing but the table.
void BareLookup(benchmark::State& state) {
  const auto count = static_cast<uint32_t>(state.range(0));
  const Load& load = LoadOf(count);
  auto map = FlowMap::Make(count);
  if (!map) return state.SkipWithError(map.error().c_str());
  for (const uint32_t flow : load.flows) benchmark::DoNotOptimize(map->Insert(flow));
  int32_t position[kBurst];
  size_t at = 0;
  for (auto _ : state) {
    map->FindBurst(std::span(load.packets).subspan(at, kBurst), position);
    benchmark::DoNotOptimize(position);
    at = (at + kBurst) % kPackets;
  }
  SetPerPacket(state);
}

// Every packet of a new flow: lookup, home, insert; or, where that is Idle's work, lookup and note. The table is
// emptied by making a new one.
template <class P>
void NewFlows(benchmark::State& state) {
  const auto count = static_cast<uint32_t>(state.range(0));
  const Load& load = LoadOf(count);
  const SteeringOptions options{.max_kthreads = kKthreads, .cores = kKthreads, .flows = count};
  testing::FakeApp app(kKthreads, kKthreads);
  for (KthreadId k = 0; k < 5; k++) app.Run(k, k);
  std::vector<KthreadId> out(load.flows.size());
  Hints hints;
  for (auto _ : state) {
    state.PauseTiming();
    auto policy = std::make_unique<P>(options);
    policy->OnActiveChange(app.view());
    state.ResumeTiming();
    policy->SteerBurst(app.view(), load.flows, out, 0, hints);
    state.PauseTiming();
    policy.reset();
    state.ResumeTiming();
  }
  state.counters["per_packet"] = benchmark::Counter(
      count, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert, benchmark::Counter::kIs1000);
}

// A core comes or goes between every two bursts: what the change costs, with the burst after it.
void ActiveChange(benchmark::State& state) {
  const auto kthreads = static_cast<uint16_t>(state.range(0));
  const Load& load = LoadOf(1000);
  FlowAffinity policy({.max_kthreads = kthreads, .cores = kthreads, .flows = 1000});
  testing::FakeApp app(kthreads, kthreads);
  for (KthreadId k = 0; k < kthreads; k++) app.Run(k, k);
  policy.OnActiveChange(app.view());
  Hints hints;
  std::vector<KthreadId> out(load.flows.size());
  policy.SteerBurst(app.view(), load.flows, out, 0, hints);
  size_t at = 0;
  for (auto _ : state) {
    policy.OnActiveChange(app.view());
    policy.SteerBurst(app.view(), std::span(load.packets).subspan(at, kBurst), std::span(out).first(kBurst), 0, hints);
    at = (at + kBurst) % kPackets;
  }
}

BENCHMARK(Steer<Rss>)->Arg(1000)->Arg(100'000)->Arg(700'000);
BENCHMARK(Steer<RoundRobin>)->Arg(1000)->Arg(100'000)->Arg(700'000);
BENCHMARK(Steer<FlowTable>)->Arg(1000)->Arg(100'000)->Arg(700'000);
BENCHMARK(Steer<FlowAffinity>)->Arg(1000)->Arg(100'000)->Arg(700'000);
BENCHMARK(Steer<FlowAffinityHybrid>)->Arg(1000)->Arg(100'000)->Arg(700'000);
BENCHMARK(BareLookup)->Arg(1000)->Arg(100'000)->Arg(700'000);
BENCHMARK(NewFlows<FlowAffinity>)->Arg(1000)->Arg(100'000)->Arg(700'000)->Unit(benchmark::kMicrosecond);
BENCHMARK(NewFlows<FlowAffinityHybrid>)->Arg(1000)->Arg(100'000)->Arg(700'000)->Unit(benchmark::kMicrosecond);
BENCHMARK(ActiveChange)->RangeMultiplier(8)->Range(8, 1024);

}  // namespace
}  // namespace sluice
