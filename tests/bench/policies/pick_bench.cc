// Pick: ns per pick for 4 to 4096 kthreads, of every pick policy, with a cold memo (nobody ran here: scan sees the
// whole list) and a warm one. The history is a real one: park and run cost what they cost, too.
#include <benchmark/benchmark.h>

#include <random>
#include <vector>

#include "policies/pick/lru.h"
#include "policies/pick/memoized.h"
#include "policies/pick/scan.h"

namespace sluice {
namespace {

std::vector<CoreId> Siblings(size_t cores) {
  std::vector<CoreId> sibling(cores);
  for (size_t c = 0; c < cores; c++) sibling[c] = static_cast<CoreId>(c ^ 1);
  return sibling;
}

// One grant: pick for a random core of an app of n kthreads on n cores, run, park.
template <class P>
void PickRunPark(benchmark::State& state) {
  const auto n = static_cast<uint16_t>(state.range(0));
  const auto sibling = Siblings(n);
  P pick(n, sibling);
  std::mt19937 random(1);
  for (KthreadId k = 0; k < n; k++) {
    pick.OnRun(k, k);
    pick.OnPark(k, k);
  }
  std::vector<CoreId> cores(4096);
  for (CoreId& c : cores) c = static_cast<CoreId>(random() % n);
  size_t i = 0;
  for (auto _ : state) {
    const CoreId core = cores[i++ % cores.size()];
    const KthreadId k = pick.Pick({}, core);
    pick.OnRun(k, core);
    pick.OnPark(k, core);
    benchmark::DoNotOptimize(k);
  }
}

// The pick alone, for the worst core: nobody ran there or beside.
template <class P>
void PickNobodyRanHere(benchmark::State& state) {
  const auto n = static_cast<uint16_t>(state.range(0));
  const auto sibling = Siblings(n + 2u);
  P pick(n, sibling);
  for (KthreadId k = 0; k < n; k++) {
    pick.OnRun(k, k);
    pick.OnPark(k, k);
  }
  const auto core = n;
  for (auto _ : state) benchmark::DoNotOptimize(pick.Pick({}, core));
}

// The pick alone, for random cores where somebody ran.
template <class P>
void PickWarm(benchmark::State& state) {
  const auto n = static_cast<uint16_t>(state.range(0));
  const auto sibling = Siblings(n);
  P pick(n, sibling);
  std::mt19937 random(1);
  for (KthreadId k = 0; k < n; k++) {
    pick.OnRun(k, k);
    pick.OnPark(k, k);
  }
  std::vector<CoreId> cores(4096);
  for (CoreId& c : cores) c = static_cast<CoreId>(random() % n);
  size_t i = 0;
  for (auto _ : state) benchmark::DoNotOptimize(pick.Pick({}, cores[i++ % cores.size()]));
}

#define SLUICE_PICK_SIZES RangeMultiplier(4)->Range(4, 4096)
BENCHMARK(PickWarm<MemoizedPick>)->SLUICE_PICK_SIZES;
BENCHMARK(PickWarm<ScanPick>)->SLUICE_PICK_SIZES;
BENCHMARK(PickWarm<LruPick>)->SLUICE_PICK_SIZES;
BENCHMARK(PickNobodyRanHere<MemoizedPick>)->SLUICE_PICK_SIZES;
BENCHMARK(PickNobodyRanHere<ScanPick>)->SLUICE_PICK_SIZES;
BENCHMARK(PickNobodyRanHere<LruPick>)->SLUICE_PICK_SIZES;
BENCHMARK(PickRunPark<MemoizedPick>)->SLUICE_PICK_SIZES;
BENCHMARK(PickRunPark<ScanPick>)->SLUICE_PICK_SIZES;
BENCHMARK(PickRunPark<LruPick>)->SLUICE_PICK_SIZES;

}  // namespace
}  // namespace sluice
