// calibrate.cc - see calibrate.h: what takes one CPU.
#include "apps/simulator/calibrate.h"

#include <array>
#include <random>
#include <span>

#include "apps/simulator/commands.h"
#include "iokernel/brain/allocator.h"
#include "policies/steering/flow_affinity.h"
#include "policies/steering/rss.h"

namespace sluice::sim {
namespace {

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

// An app with five of its eight kthreads on cores, and packets of its flows in random order.
class Traffic {
 public:
  explicit Traffic(uint32_t flows) : flows_(flows) {
    std::mt19937 random(7);
    for (uint32_t& flow : flows_) flow = random();
    for (uint32_t& packet : packets_) packet = flows_[random() % flows];
    on_core_.fill(kNoKthread);
    for (KthreadId k = 0; k < active_.size(); ++k) {
      active_[k] = k;
      on_core_[k] = k;
      kthreads_[k] = {.steerable = true, .parked = false, .core = k};
    }
  }

  template <class Steering>
  void Begin(Steering& steering) {
    steering.OnActiveChange(view_);
  }
  // One packet of each flow.
  template <class Steering>
  void First(Steering& steering) {
    Steer(steering, flows_);
  }
  // What a packet of a flow that it knows takes.
  template <class Steering>
  Time Each(Steering& steering) {
    return sim::Each(kPackets, [&] { Steer(steering, packets_); });
  }

 private:
  static constexpr size_t kBurst = 32;
  static constexpr uint32_t kPackets = 1 << 17;
  static constexpr uint16_t kKthreads = 8;

  template <class Steering>
  void Steer(Steering& steering, std::span<const uint32_t> packets) {
    for (; !packets.empty(); packets = packets.subspan(std::min(kBurst, packets.size()))) {
      const auto burst = packets.first(std::min(kBurst, packets.size()));
      steering.SteerBurst(view_, burst, std::span(to_).first(burst.size()), 0, hints_);
      asm volatile("" : : "r"(to_.data()) : "memory");
    }
  }

  std::vector<uint32_t> flows_;
  std::vector<uint32_t> packets_ = std::vector<uint32_t>(kPackets);
  std::array<KthreadView, kKthreads> kthreads_{};
  std::array<KthreadId, 5> active_{};
  std::array<KthreadId, kKthreads> on_core_{};
  AppView view_{
      .id = 0, .max_kthreads = kKthreads, .active = active_, .kthreads = kthreads_, .on_core = on_core_, .landing = 0};
  std::array<KthreadId, kBurst> to_{};
  Hints hints_;
};

}  // namespace

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

tl::expected<FlowTableCosts, std::string> MeasureFlowTable() {
  constexpr uint32_t kFlows = 700'000;
  const SteeringOptions options{.max_kthreads = 8, .cores = 8, .flows = kFlows};
  if (auto started = StartTables(FlowAffinity::MemoryBytes(kFlows)); !started) return tl::unexpected(started.error());
  Traffic traffic(kFlows);
  Rss rss(options);
  const Time without = traffic.Each(rss);
  FlowTableCosts costs;
  // The first filling of the memory takes page faults along; the later ones do not.
  Time first = kNever;
  for (int i = 0; i < 4; ++i) {
    auto table = FlowAffinity::Make(options);
    if (!table) return tl::unexpected(table.error());
    traffic.Begin(*table);
    const uint64_t start = NowNs();
    traffic.First(*table);
    first = std::min(first, static_cast<Time>((NowNs() - start) * kNs / kFlows));
    if (i == 0) costs.lookup = std::max(traffic.Each(*table), without) - without;
  }
  costs.insert = std::max(first, without + costs.lookup) - without - costs.lookup;
  return costs;
}

}  // namespace sluice::sim
