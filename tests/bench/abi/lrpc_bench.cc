// lrpc_bench.cc - lrpc against rte_ring (bursts of 32), as a ratio within one run.
//
// Two threads, pinned to CPUs 0 and 1. Each iteration measures one round of every contender in turn, so that the
// noise of the machine falls on all alike; the counters are medians over the rounds. A ratio below 1 is in favour
// of lrpc. Run it on a quiet machine.
#include <benchmark/benchmark.h>
#include <pthread.h>
#include <rte_ring.h>
#include <rte_ring_elem.h>
#include <sched.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "iokernel/abi/check.h"
#include "iokernel/abi/lrpc.h"

namespace sluice::abi {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uint32_t kSlots = 1024;
constexpr uint32_t kBurst = 32;
constexpr uint64_t kMessages = 4'000'000;
constexpr uint64_t kRoundTrips = 20'000;

void Pin(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  // A machine with one CPU measures the scheduler; the figures show it.
  (void)pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

// One direction of a contender: Send and Receive take up to kBurst messages and return how many.
class Lrpc {
 public:
  uint32_t Send(const LrpcMessage* messages, uint32_t count) { return sender_.SendBurst({messages, count}); }
  uint32_t Receive(LrpcMessage* out) {
    const uint32_t count = receiver_.ReceiveBurst({out, kBurst});
    if (count == 0) receiver_.PublishHead();
    return count;
  }

 private:
  struct alignas(64) Head {
    std::atomic<uint32_t> word{0};
  };
  // Sizes up to a page, as in a region.
  struct alignas(4096) Slots {
    std::array<LrpcSlot, kSlots> slots{};
  };
  std::unique_ptr<Slots> ring_ = std::make_unique<Slots>();
  std::unique_ptr<Head> head_ = std::make_unique<Head>();
  alignas(64) LrpcSender sender_{ring_->slots.data(), kSlots, &head_->word};
  alignas(64) LrpcReceiver receiver_{ring_->slots.data(), kSlots, &head_->word};
};

// The same, one call a message on the sending side.
class LrpcOneByOne : public Lrpc {
 public:
  uint32_t Send(const LrpcMessage* messages, uint32_t count) {
    for (uint32_t i = 0; i < count; ++i) {
      if (Lrpc::Send(messages + i, 1) == 0) return i;
    }
    return count;
  }
};

class RteRing {
 public:
  RteRing() {
    const ssize_t bytes = rte_ring_get_memsize_elem(sizeof(LrpcMessage), kSlots);
    ring_.reset(static_cast<rte_ring*>(std::aligned_alloc(4096, (static_cast<size_t>(bytes) + 4095) & ~size_t{4095})));
    SLUICE_CHECK(rte_ring_init(ring_.get(), "bench", kSlots, RING_F_SP_ENQ | RING_F_SC_DEQ) == 0, "no ring");
  }
  uint32_t Send(const LrpcMessage* messages, uint32_t count) {
    return rte_ring_sp_enqueue_burst_elem(ring_.get(), messages, sizeof(LrpcMessage), count, nullptr);
  }
  uint32_t Receive(LrpcMessage* out) {
    return rte_ring_sc_dequeue_burst_elem(ring_.get(), out, sizeof(LrpcMessage), kBurst, nullptr);
  }

 private:
  struct Free {
    void operator()(void* at) const { std::free(at); }
  };
  std::unique_ptr<rte_ring, Free> ring_;
};

// Messages per second in one direction.
template <class Ring>
double OneWay() {
  Ring ring;
  std::thread producer([&] {
    Pin(0);
    std::array<LrpcMessage, kBurst> burst;
    for (uint64_t sent = 0; sent < kMessages;) {
      const auto wanted = static_cast<uint32_t>(std::min<uint64_t>(kBurst, kMessages - sent));
      for (uint32_t i = 0; i < wanted; ++i) burst[i] = {sent + i, sent + i};
      sent += ring.Send(burst.data(), wanted);
    }
  });
  Pin(1);
  std::array<LrpcMessage, kBurst> out;
  uint64_t received = 0;
  uint64_t sum = 0;
  Clock::time_point start;
  while (received < kMessages) {
    const uint32_t count = ring.Receive(out.data());
    if (count == 0) continue;
    if (received == 0) start = Clock::now();
    for (uint32_t i = 0; i < count; ++i) sum += out[i].payload;
    received += count;
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  producer.join();
  SLUICE_CHECK(sum == kMessages * (kMessages - 1) / 2, "messages were lost");
  return static_cast<double>(kMessages) / seconds;
}

// Nanoseconds for a message there and its answer back.
template <class Ring>
double RoundTrip() {
  Ring there, back;
  std::thread echo([&] {
    Pin(0);
    std::array<LrpcMessage, kBurst> out;
    for (uint64_t done = 0; done < kRoundTrips;) {
      const uint32_t count = there.Receive(out.data());
      if (count > 0) done += back.Send(out.data(), count);
    }
  });
  Pin(1);
  std::array<LrpcMessage, kBurst> out;
  const auto start = Clock::now();
  for (uint64_t i = 0; i < kRoundTrips; ++i) {
    const LrpcMessage message{i, i};
    while (there.Send(&message, 1) == 0) {
    }
    while (back.Receive(out.data()) == 0) {
    }
  }
  const double ns = std::chrono::duration<double, std::nano>(Clock::now() - start).count();
  echo.join();
  return ns / kRoundTrips;
}

double Median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

void BM_LrpcOneWay(benchmark::State& state) {
  std::vector<double> burst, single, ring;
  for (auto _ : state) {
    burst.push_back(OneWay<Lrpc>());
    ring.push_back(OneWay<RteRing>());
    single.push_back(OneWay<LrpcOneByOne>());
  }
  state.counters["lrpc_M/s"] = Median(burst) / 1e6;
  state.counters["lrpc_one_by_one_M/s"] = Median(single) / 1e6;
  state.counters["rte_ring_M/s"] = Median(ring) / 1e6;
  state.counters["ratio_time_lrpc/ring"] = Median(ring) / Median(burst);
  // The least disturbed round of each: what to look at on a machine that is shared.
  state.counters["best_lrpc_M/s"] = *std::max_element(burst.begin(), burst.end()) / 1e6;
  state.counters["best_rte_ring_M/s"] = *std::max_element(ring.begin(), ring.end()) / 1e6;
}
BENCHMARK(BM_LrpcOneWay)->Iterations(15)->Unit(benchmark::kMillisecond)->UseRealTime();

void BM_LrpcRoundTrip(benchmark::State& state) {
  std::vector<double> lrpc, ring;
  for (auto _ : state) {
    lrpc.push_back(RoundTrip<Lrpc>());
    ring.push_back(RoundTrip<RteRing>());
  }
  state.counters["lrpc_ns"] = Median(lrpc);
  state.counters["rte_ring_ns"] = Median(ring);
  state.counters["ratio_time_lrpc/ring"] = Median(lrpc) / Median(ring);
}
BENCHMARK(BM_LrpcRoundTrip)->Iterations(15)->Unit(benchmark::kMillisecond)->UseRealTime();

// Both ends in one thread: what the instructions cost, without the traffic between two caches.
template <class Ring>
void BM_SameThread(benchmark::State& state) {
  Ring ring;
  std::array<LrpcMessage, kBurst> burst{};
  std::array<LrpcMessage, kBurst> out;
  for (auto _ : state) {
    benchmark::DoNotOptimize(burst.data());
    SLUICE_CHECK(ring.Send(burst.data(), kBurst) == kBurst && ring.Receive(out.data()) == kBurst, "a burst was cut");
    benchmark::DoNotOptimize(out.data());
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kBurst));
}
BENCHMARK(BM_SameThread<Lrpc>);
BENCHMARK(BM_SameThread<LrpcOneByOne>);
BENCHMARK(BM_SameThread<RteRing>);

}  // namespace
}  // namespace sluice::abi
