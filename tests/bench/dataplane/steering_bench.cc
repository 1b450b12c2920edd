// steering_bench.cc - the way in at full speed: 64-byte frames from memory, judged, steered, copied into the app's
// buffers and put on its kthreads' rings by one core, while another core drains the rings and returns the buffers.
//
//   Steer/<policy>/<flows>/<buffers>/<buffer bytes>   LIFO pool unless the name ends in Fifo
//   Judge                                             the same frames for nobody: port, parse and free alone
//
// items_per_second is packets delivered. The port offers no more than the consumer can hold, so nothing is dropped
// (`dropped` says so); `waited` is the share of polls that found the consumer behind: where it is high, the figure is
// the consumer's, not the IOKernel's. Pins itself to the first two CPUs it may use.
#include <benchmark/benchmark.h>
#include <rte_mbuf.h>
#include <sched.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "iokernel/abi/message.h"
#include "iokernel/abi/wire.h"
#include "iokernel/dataplane/app.h"
#include "iokernel/dataplane/loop.h"
#include "iokernel/dataplane/packet_pool.h"
#include "iokernel/dataplane/tsc.h"
#include "iokernel/grant/backend.h"
#include "runtime/io/region_view.h"
#include "tests/lib/eal.h"

namespace sluice {
namespace {

constexpr uint32_t kFewestFrames = 1 << 14;
constexpr size_t kFrameRoom = 64;
constexpr uint16_t kFrameBytes = 60;  // 64 with the check sequence
constexpr uint32_t kAppAddress = 0x0a000002;
constexpr abi::MacAddress kMac = {2, 0, 0, 0, 0, 1};
constexpr uint32_t kKthreads = 4;

void PinTo(uint32_t nth) {
  static const cpu_set_t allowed = [] {
    cpu_set_t set;
    sched_getaffinity(0, sizeof(set), &set);
    return set;
  }();
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed) || nth-- != 0) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    sched_setaffinity(0, sizeof(one), &one);
    return;
  }
}

// Frames of `flows` flows in random order, to `address`; at least one of each flow on average. They are read round
// and round: few flows stay in the caches, as a NIC that writes into them would leave them; many come from memory.
class FrameStore {
 public:
  FrameStore(uint32_t flows, uint32_t address)
      : frames_(std::bit_ceil(std::max(flows, kFewestFrames))),
        bytes_(static_cast<std::byte*>(mmap(nullptr, frames_ * kFrameRoom, PROT_READ | PROT_WRITE,
                                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0))) {
    std::mt19937 random(1);
    for (uint32_t i = 0; i < frames_; ++i) {
      const uint32_t flow = random() % flows;
      std::byte* const frame = bytes_ + i * kFrameRoom;
      abi::WriteEthernet(frame, kMac, {2, 0, 0, 0, 0, 9}, abi::kEtherTypeIpv4);
      const uint32_t source = 0x0a400000 + flow / 1000;
      abi::WriteUdp(frame + 34, {source, address, static_cast<uint16_t>(10'000 + flow % 1000), 2000, 18});
      abi::WriteIpv4(frame + 14, {source, address, 26, 0, abi::kProtocolUdp});
    }
  }
  ~FrameStore() { munmap(bytes_, frames_ * kFrameRoom); }
  FrameStore(const FrameStore&) = delete;
  FrameStore& operator=(const FrameStore&) = delete;

  std::byte* Next() { return bytes_ + size_t{next_++ & (frames_ - 1)} * kFrameRoom; }

  [[nodiscard]] uint32_t frames() const { return frames_; }

 private:
  uint32_t frames_;
  std::byte* bytes_;
  uint32_t next_ = 0;
};

// Hands out mbufs that point into the store, while `consumed` is not too far behind.
class MemoryPort final : public Port {
 public:
  MemoryPort(uint32_t flows, uint32_t address, uint32_t window) : store_(flows, address), window_(window) {
    static int made = 0;
    const std::string name = "memory" + std::to_string(made++);
    pool_ = MakePacketPool(name + "tx", 512, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY, false);
    incoming_ = MakePacketPool(name + "rx", 2048, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY, false);
    SLUICE_CHECK(pool_ != nullptr && incoming_ != nullptr, "EAL memory for the bench's packets");
    info_.name = "memory";
    info_.mac = kMac;
  }
  ~MemoryPort() override {
    rte_mempool_free(incoming_);
    rte_mempool_free(pool_);
  }

  uint16_t RxBurst(rte_mbuf** out, uint16_t count) override {
    ++polls;
    if (offered_ + count - consumed_seen_ > window_) {
      consumed_seen_ = consumed.load(std::memory_order_relaxed) + Dropped();
      if (offered_ + count - consumed_seen_ > window_) {
        ++waits;
        return 0;
      }
    }
    if (rte_pktmbuf_alloc_bulk(incoming_, out, count) != 0) return 0;
    for (uint16_t i = 0; i < count; ++i) {
      out[i]->buf_addr = store_.Next();
      out[i]->data_off = 0;
      out[i]->data_len = kFrameBytes;
      out[i]->pkt_len = kFrameBytes;
    }
    offered_ += count;
    return count;
  }
  uint16_t TxBurst(rte_mbuf** frames, uint16_t count) override {
    rte_pktmbuf_free_bulk(frames, count);
    return count;
  }

  [[nodiscard]] uint64_t Dropped() const {
    if (app == nullptr) return 0;
    return app->drops.Get(AppDrop::kRxNoBuffer) + app->drops.Get(AppDrop::kRxRingFull);
  }

  const AppCounters* app = nullptr;  // whose drops count as consumed
  alignas(64) std::atomic<uint64_t> consumed{0};
  alignas(64) uint64_t polls = 0;
  uint64_t waits = 0;
  [[nodiscard]] uint32_t frames() const { return store_.frames(); }

 private:
  FrameStore store_;
  rte_mempool* incoming_;  // apart from what is sent: these point into the store
  uint64_t window_;
  uint64_t offered_ = 0;
  uint64_t consumed_seen_ = 0;
};

// All kthreads of the app on one core: sweeps the rings, reads each packet's first line, returns its buffer.
class Consumer {
 public:
  Consumer(DataplaneApp& app, MemoryPort& port) : region_{app.base(), app.layout()}, port_(port) {
    for (uint32_t k = 0; k < kKthreads; ++k) kthreads_.emplace_back(region_, k);
    thread_ = std::thread([this] { Run(); });
    while (!ready_.load()) std::this_thread::yield();
  }
  ~Consumer() {
    stop_.store(true);
    thread_.join();
  }
  Consumer(const Consumer&) = delete;
  Consumer& operator=(const Consumer&) = delete;

 private:
  void Run() {
    PinTo(1);
    ready_.store(true);
    uint64_t consumed = 0;
    while (!stop_.load(std::memory_order_relaxed)) {
      for (auto& io : kthreads_) consumed += Sweep(io);
      port_.consumed.store(consumed, std::memory_order_relaxed);
    }
  }

  uint32_t Sweep(io::KthreadIo& io) {
    (void)io.grant.AwaitGrant([](const auto&, uint32_t) { return false; });
    abi::LrpcMessage messages[64];
    const uint32_t count = io.rx.ReceiveBurst(messages);
    if (count == 0) return 0;
    io.rx.PublishHead();
    io.block->signal.rx_consumed.store(io.rx.received(), std::memory_order_relaxed);
    abi::LrpcMessage back[64];
    for (uint32_t i = 0; i < count; ++i) __builtin_prefetch(region_.RxBuffer(abi::DecodeRx(messages[i]).buffer));
    for (uint32_t i = 0; i < count; ++i) {
      const uint32_t buffer = abi::DecodeRx(messages[i]).buffer;
      sum_ += abi::LoadBe32(region_.RxBuffer(buffer) + 12);
      back[i] = abi::EncodeFill(buffer);
    }
    SLUICE_CHECK(io.fill.SendBurst({back, count}) == count, "a fill ring has room for every buffer");
    return count;
  }

  io::RegionView region_;
  MemoryPort& port_;
  std::vector<io::KthreadIo> kthreads_;
  std::atomic<bool> ready_{false};
  std::atomic<bool> stop_{false};
  uint64_t sum_ = 0;
  std::thread thread_;
};

LoopOptions Options() {
  static const TscInfo tsc = MeasureTsc();
  LoopOptions options;
  for (uint16_t cpu = 0; cpu < kKthreads; ++cpu) options.allocator.cores.push_back({cpu, 0, kNoCore});
  options.allocator.interval = tsc.rate.FromUs(5);
  options.rate = tsc.rate;
  return options;
}

void Steer(benchmark::State& state, const std::string& policy, BufferOrder order) {
  testing::StartEal(256);
  PinTo(0);
  const auto flows = static_cast<uint32_t>(state.range(0));
  AppParams params;
  params.id = 0;
  params.name = "bench";
  params.address = kAppAddress;
  params.geometry = {
      kKthreads, 1024, 64, 8192, static_cast<uint32_t>(state.range(1)), static_cast<uint32_t>(state.range(2))};
  params.steering = policy;
  params.flows = 700'000;
  params.cores = kKthreads;
  params.buffer_order = order;
  auto app = DataplaneApp::Make(params);
  SLUICE_CHECK(app.has_value(), "an app for the bench");
  // At most half of the app's buffers are on their way.
  MemoryPort port(flows, kAppAddress, params.geometry.rx_buffers / 2);
  NullBackend backend;
  Loop loop(Options(), port, backend);
  SLUICE_CHECK(loop.Post({CommandKind::kAttach, 0, app->get()}), "an empty queue has room");
  Reply reply;
  while (!loop.NextReply(&reply)) loop.Once(abi::ReadTsc());
  const AppCounters& counters = (*app)->counters();
  port.app = &counters;
  {
    Consumer consumer(**app, port);
    // Every flow has been seen, every kthread runs.
    while (counters.rx_packets.Get() < 2 * port.frames()) loop.Once(abi::ReadTsc());
    const uint64_t before = counters.rx_packets.Get();
    const uint64_t dropped_before = port.Dropped();
    port.polls = port.waits = 0;
    for (auto _ : state) loop.Once(abi::ReadTsc());
    state.SetItemsProcessed(static_cast<int64_t>(counters.rx_packets.Get() - before));
    state.counters["dropped"] = static_cast<double>(port.Dropped() - dropped_before);
  }
  state.counters["waited"] = static_cast<double>(port.waits) / static_cast<double>(port.polls);
  state.counters["kthreads"] = static_cast<double>(loop.allocator().View(0).active.size());
}

void Judge(benchmark::State& state) {
  testing::StartEal(256);
  PinTo(0);
  MemoryPort port(static_cast<uint32_t>(state.range(0)), kAppAddress, ~uint32_t{0});
  NullBackend backend;
  Loop loop(Options(), port, backend);
  for (auto _ : state) {
    loop.Once(abi::ReadTsc());
    port.consumed.store(loop.counters().drops.Get(LinkDrop::kNoApp), std::memory_order_relaxed);
  }
  state.SetItemsProcessed(static_cast<int64_t>(loop.counters().drops.Get(LinkDrop::kNoApp)));
}

BENCHMARK(Judge)->Arg(1'000)->Arg(100'000)->Arg(700'000)->UseRealTime();
BENCHMARK_CAPTURE(Steer, rss, "rss", BufferOrder::kLifo)
    ->Args({1'000, 4096, 2112})
    ->Args({100'000, 4096, 2048})
    ->Args({100'000, 4096, 2112})
    ->Args({700'000, 4096, 2112})
    ->Args({100'000, 1024, 2048})
    ->Args({100'000, 1024, 2112})
    ->UseRealTime();
BENCHMARK_CAPTURE(Steer, rssFifo, "rss", BufferOrder::kFifo)
    ->Args({100'000, 4096, 2048})
    ->Args({100'000, 4096, 2112})
    ->Args({100'000, 1024, 2112})
    ->UseRealTime();
BENCHMARK_CAPTURE(Steer, roundRobin, "round-robin", BufferOrder::kLifo)->Args({100'000, 4096, 2112})->UseRealTime();
BENCHMARK_CAPTURE(Steer, flowAffinity, "flow-affinity", BufferOrder::kLifo)
    ->Args({1'000, 4096, 2112})
    ->Args({100'000, 4096, 2112})
    ->Args({700'000, 4096, 2112})
    ->UseRealTime();

}  // namespace
}  // namespace sluice

BENCHMARK_MAIN();
