// value_bench.cc - the pure functions of the data path: Toeplitz, checksum, histogram, parsing.
#include <benchmark/benchmark.h>

#include <memory>
#include <random>
#include <vector>

#include "iokernel/abi/checksum.h"
#include "iokernel/abi/histogram.h"
#include "iokernel/abi/toeplitz.h"
#include "iokernel/abi/wire.h"

namespace sluice::abi {
namespace {

void BM_Toeplitz(benchmark::State& state) {
  const auto table = std::make_unique<ToeplitzTable>();
  std::mt19937_64 random(1);
  struct Flow {
    uint32_t source, destination;
    uint16_t source_port, destination_port;
  };
  std::vector<Flow> flows(1024);
  for (Flow& f : flows) {
    f = {static_cast<uint32_t>(random()), static_cast<uint32_t>(random()), static_cast<uint16_t>(random()),
         static_cast<uint16_t>(random())};
  }
  uint32_t sum = 0;
  for (auto _ : state) {
    for (const Flow& f : flows) sum += table->Hash(f.source, f.destination, f.source_port, f.destination_port);
    benchmark::DoNotOptimize(sum);
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * flows.size()));
}
BENCHMARK(BM_Toeplitz);

void BM_Checksum(benchmark::State& state) {
  const std::vector<std::byte> bytes(static_cast<size_t>(state.range(0)), std::byte{0x5a});
  for (auto _ : state) {
    benchmark::DoNotOptimize(bytes.data());
    benchmark::DoNotOptimize(Checksum(bytes));
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_Checksum)->Arg(20)->Arg(64)->Arg(256)->Arg(1500)->Arg(8192);

void BM_HistogramRecord(benchmark::State& state) {
  Histogram histogram;
  std::mt19937_64 random(1);
  std::vector<uint64_t> values(1024);
  for (uint64_t& v : values) v = 2000 + random() % 200'000;
  for (auto _ : state) {
    for (const uint64_t v : values) histogram.Record(v);
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * values.size()));
}
BENCHMARK(BM_HistogramRecord);

// Parse a UDP packet and hash its flow, from frames that lie in the cache.
void BM_ParseAndHash(benchmark::State& state) {
  constexpr size_t kFrames = 256, kFrameBytes = 64;
  const auto table = std::make_unique<ToeplitzTable>();
  std::vector<std::byte> frames(kFrames * kFrameBytes);
  for (size_t i = 0; i < kFrames; ++i) {
    std::byte* frame = &frames[i * kFrameBytes];
    WriteEthernet(frame, {2, 0, 0, 0, 0, 2}, {2, 0, 0, 0, 0, 1}, kEtherTypeIpv4);
    Ipv4Fields ip;
    ip.source = 0x0a000001;
    ip.destination = 0x0a000002;
    ip.protocol = kProtocolUdp;
    ip.payload_bytes = 30;
    WriteIpv4(frame + kEthernetHeaderBytes, ip);
    WriteUdp(frame + kEthernetHeaderBytes + kIpv4HeaderBytes,
             {ip.source, ip.destination, static_cast<uint16_t>(1000 + i), 7, 22});
  }
  uint32_t sum = 0;
  for (auto _ : state) {
    for (size_t i = 0; i < kFrames; ++i) {
      const auto frame = ParseEthernet({&frames[i * kFrameBytes], kFrameBytes});
      const auto ip = ParseIpv4(frame->payload());
      if (!ip) continue;
      const FlowTuple flow = FlowOf(*ip);
      sum += table->Hash(flow.source, flow.destination, flow.source_port, flow.destination_port);
    }
    benchmark::DoNotOptimize(sum);
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kFrames));
}
BENCHMARK(BM_ParseAndHash);

}  // namespace
}  // namespace sluice::abi
