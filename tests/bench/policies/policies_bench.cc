// policies_bench: what a decision of each kind of policy costs. JSON: --benchmark_format=json --benchmark_out=FILE.
#include <benchmark/benchmark.h>

#include "tests/lib/eal.h"

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  sluice::testing::StartEal(160);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
