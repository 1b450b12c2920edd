// Placement: ns per decision for 16 to 1024 cores. Idle: half of them are idle, one is chosen. Taken: none is, one is
// taken from a best-effort app that has all but one, where a core that the asker wants is the one that was granted
// first. A decision with the grant and the release that follow it.
#include <benchmark/benchmark.h>

#include <memory>
#include <vector>

#include "iokernel/abi/check.h"
#include "policies/machine.h"
#include "policies/registry.h"

namespace sluice {
namespace {

std::vector<CoreSpec> Cores(uint16_t count) {
  std::vector<CoreSpec> cores(count);
  for (CoreId c = 0; c < count; c++) cores[c] = {c, static_cast<uint16_t>(c * 2 / count), static_cast<CoreId>(c ^ 1)};
  return cores;
}

void Idle(benchmark::State& state, const char* name) {
  const auto cores = static_cast<uint16_t>(state.range(0));
  Machine machine(Cores(cores), 0);
  CoreSet wanted;
  machine.Attach(0, {.max = cores, .wanted = &wanted});
  machine.Attach(1, {.max = cores, .priority = Priority::kBestEffort});
  for (CoreId c = 0; c < cores / 2; c++) machine.Grant(c * 2, c % 2, 0, c);
  const auto policy = MakePlacement(name);
  for (auto _ : state) {
    const PlacementChoice choice = policy->Choose(machine.view(), 0);
    machine.Grant(choice.core, 0, 0, 1);
    machine.Free(choice.core);
  }
}

void Taken(benchmark::State& state, const char* name) {
  const auto cores = static_cast<uint16_t>(state.range(0));
  SLUICE_CHECK(cores > 1, "nobody to take a core from");
  Machine machine(Cores(cores), 0);
  CoreSet wanted;
  machine.Attach(0, {.max = cores, .wanted = &wanted});
  machine.Attach(1, {.max = cores, .priority = Priority::kBestEffort});
  for (CoreId c = 0; c < cores; c++) machine.Grant(c, c == 0 ? 0 : 1, 0, c);
  const auto policy = MakePlacement(name);
  Ticks now = cores;
  for (auto _ : state) {
    // Granted in turn, so the oldest goes round.
    const auto oldest = static_cast<CoreId>(1 + (now - cores) % (cores - 1u));
    wanted.set(oldest);
    const CoreId core = policy->Choose(machine.view(), 0).core;
    wanted.reset(oldest);
    machine.Promise(core, 0);
    machine.Cede(core);
    machine.Free(core);
    machine.DropPromise(core);
    machine.Grant(core, 1, 0, now++);
  }
}

#define SLUICE_PLACEMENT_BENCH(label, name)                                  \
  BENCHMARK_CAPTURE(Idle, label, name)->RangeMultiplier(8)->Range(16, 1024); \
  BENCHMARK_CAPTURE(Taken, label, name)->RangeMultiplier(8)->Range(16, 1024)
SLUICE_PLACEMENT_BENCH(simple, "simple");
SLUICE_PLACEMENT_BENCH(sibling_aware, "sibling-aware");
SLUICE_PLACEMENT_BENCH(numa, "numa");

}  // namespace
}  // namespace sluice
