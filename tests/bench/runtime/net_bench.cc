// net_bench.cc - what a packet costs in the runtime: in, out, echoed. All on one kthread: the benchmark plays the
// IOKernel between batches, on the same core, and that is counted (see RingsAlone).
#include <benchmark/benchmark.h>
#include <sys/mman.h>

#include <array>
#include <future>
#include <vector>

#include "iokernel/abi/wire.h"
#include "runtime/net/stack.h"
#include "runtime/sched/scheduler.h"
#include "sluice/thread.h"
#include "sluice/udp.h"
#include "tests/lib/fake_iokernel.h"

namespace sluice {
namespace {

constexpr uint32_t kBatch = 32;
constexpr Endpoint kPeer{0x0a000001, 4000};
constexpr uint16_t kPort = 7;

class NetBench {
 public:
  NetBench() : iokernel_({.kthreads = 1, .shared_cpus = false}), issuer_(&block().signal, &block().grant) {
    const io::RegionView& view = iokernel_.view();
    tx_ = {view.layout.TxRing(view.base, 0), view.layout.geometry().tx_slots, &block().iokernel_heads.head0};
    fill_ = {view.layout.FillRing(view.base, 0), view.layout.geometry().fill_slots, &block().iokernel_heads.head1};
    net::OpenStack(view);
    SLUICE_CHECK(sched::Start({.region = view, .on_packets = net::OnPackets}), "no kthread");
  }
  ~NetBench() {
    sched::Stop();
    sched::Join();
    net::CloseStack();
  }

  void InUthread(std::function<void()> body) {
    std::promise<void> done;
    SLUICE_CHECK(sched::SpawnFromOutside([&] {
                   body();
                   done.set_value();
                 }),
                 "no stack");
    const std::future<void> future = done.get_future();
    do {
      GrantIfParked();
    } while (future.wait_for(std::chrono::milliseconds(1)) == std::future_status::timeout);
  }

  // A batch of UDP packets with `bytes` of payload, in buffers 0..31.
  void Prepare(size_t bytes) {
    for (uint32_t i = 0; i < kBatch; ++i) {
      std::byte* at = iokernel_.view().RxBuffer(i);
      const auto size = static_cast<uint16_t>(bytes);
      abi::Ipv4Fields ip;
      ip.source = kPeer.address;
      ip.destination = iokernel_.view().header().address;
      ip.payload_bytes = static_cast<uint16_t>(abi::kUdpHeaderBytes + size);
      ip.protocol = abi::kProtocolUdp;
      abi::WriteIpv4(at, ip);
      abi::WriteUdp(at + abi::kIpv4HeaderBytes, {ip.source, ip.destination, kPeer.port, kPort, size});
      const auto length = static_cast<uint16_t>(abi::kIpv4HeaderBytes + ip.payload_bytes);
      batch_[i] = abi::Encode(abi::RxPacket{i, 0, length, 0});
    }
  }
  void Deliver() {
    const sched::PreemptGuard guard;
    net::OnPackets(sched::Current(), 0, batch_);
  }
  // Plays the IOKernel: takes what is in the rings. Returns how many packets were sent.
  uint32_t Drain() {
    std::array<abi::LrpcMessage, kBatch> messages;
    while (fill_.ReceiveBurst(messages) == kBatch) {
    }
    fill_.PublishHead();
    const uint32_t sent = tx_.ReceiveBurst(messages);
    tx_.PublishHead();
    return sent;
  }

 private:
  void GrantIfParked() {
    (void)issuer_.Poll();
    if (issuer_.state() != abi::GrantState::kParked) return;
    issuer_.Grant(0, 0);
    syscall(SYS_futex, &block().grant.generation, FUTEX_WAKE, 1, nullptr, nullptr, 0);
  }
  abi::KthreadBlock& block() { return *iokernel_.view().layout.Kthread(iokernel_.view().base, 0); }

  test::FakeIoKernel iokernel_;  // its region only
  abi::GrantIssuer issuer_;
  abi::LrpcReceiver tx_;
  abi::LrpcReceiver fill_;
  std::array<abi::LrpcMessage, kBatch> batch_{};
};

using Body = void (*)(benchmark::State&, NetBench&, UdpSocket&);

void Run(benchmark::State& state, Body body) {
  NetBench bench;
  bench.Prepare(static_cast<size_t>(state.range(0)));
  bench.InUthread([&] {
    auto socket = UdpSocket::Bind({0, kPort});
    SLUICE_CHECK(socket.has_value(), "no socket");
    body(state, bench, *socket);
  });
  state.SetItemsProcessed(state.iterations() * kBatch);
}

void RingsAlone(benchmark::State& state, NetBench& bench, UdpSocket&) {
  for (auto _ : state) {
    for (uint32_t i = 0; i < kBatch; ++i) sched::ReturnBuffer(i);
    benchmark::DoNotOptimize(bench.Drain());
  }
}
BENCHMARK_CAPTURE(Run, RingsAlone, RingsAlone)->Arg(64);

void Receive(benchmark::State& state, NetBench& bench, UdpSocket& socket) {
  for (auto _ : state) {
    bench.Deliver();
    for (uint32_t i = 0; i < kBatch; ++i) benchmark::DoNotOptimize(socket.Recv(std::chrono::nanoseconds(0)));
    bench.Drain();
  }
}
BENCHMARK_CAPTURE(Run, Receive, Receive)->Arg(64)->Arg(1472);

void Send(benchmark::State& state, NetBench& bench, UdpSocket& socket) {
  const std::vector<std::byte> payload(static_cast<size_t>(state.range(0)));
  for (auto _ : state) {
    for (uint32_t i = 0; i < kBatch; ++i) benchmark::DoNotOptimize(socket.SendTo(payload, kPeer));
    bench.Drain();
  }
}
BENCHMARK_CAPTURE(Run, Send, Send)->Arg(64)->Arg(1472);

// One uthread that receives and replies.
void EchoByQueue(benchmark::State& state, NetBench& bench, UdpSocket& socket) {
  for (auto _ : state) {
    bench.Deliver();
    for (uint32_t i = 0; i < kBatch; ++i) {
      const auto datagram = socket.Recv(std::chrono::nanoseconds(0));
      benchmark::DoNotOptimize(socket.SendTo(datagram->payload(), datagram->source()));
    }
    bench.Drain();
  }
}
BENCHMARK_CAPTURE(Run, EchoByQueue, EchoByQueue)->Arg(64)->Arg(1472);

// A uthread for each datagram.
void EchoByServe(benchmark::State& state, NetBench& bench, UdpSocket& socket) {
  Thread server([&] {
    (void)socket.Serve([&](const Datagram& request) { (void)socket.SendTo(request.payload(), request.source()); });
  });
  Yield();
  for (auto _ : state) {
    bench.Deliver();
    for (uint32_t sent = 0; sent < kBatch; sent += bench.Drain()) Yield();
  }
  socket.Shutdown();
}
BENCHMARK_CAPTURE(Run, EchoByServe, EchoByServe)->Arg(64)->Arg(1472);

}  // namespace
}  // namespace sluice

BENCHMARK_MAIN();
