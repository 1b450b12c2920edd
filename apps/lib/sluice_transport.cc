// sluice_transport.cc - the transport on libruntime: uthreads and its UDP sockets.
#include <sluice/run.h>
#include <sluice/thread.h>
#include <sluice/time.h>
#include <sluice/udp.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <vector>

#include "apps/lib/transport.h"

namespace sluice::apps {
namespace {

constexpr std::chrono::milliseconds kStopCheck{20};
// Datagrams being served at a time, per kthread. Beyond that an overloaded server drops.
constexpr uint32_t kServeLimit = 1024;

std::chrono::nanoseconds Left(Clock::time_point deadline) {
  return std::max<std::chrono::nanoseconds>(deadline - Clock::now(), std::chrono::nanoseconds(0));
}

TransportError From(Error error) {
  switch (error) {
    case Error::kTimedOut:
      return TransportError::kTimedOut;
    case Error::kIoKernelGone:
      return TransportError::kGone;
    case Error::kQueueFull:
      return TransportError::kFull;
    default:
      return TransportError::kOther;
  }
}

Received Describe(const Datagram& datagram) {
  return {datagram.payload().size(),
          {datagram.source().address, datagram.source().port},
          datagram.steered_kthread(),
          Datagram::executing_kthread()};
}

class SluiceSocket final : public DatagramSocket {
 public:
  explicit SluiceSocket(UdpSocket socket) : socket_(std::move(socket)) {}

  tl::expected<Received, TransportError> Receive(std::span<std::byte> buffer, Clock::time_point deadline) override {
    const auto datagram = socket_.Recv(Left(deadline));
    if (!datagram) return tl::unexpected(From(datagram.error()));
    Received received = Describe(*datagram);
    received.bytes = std::min(received.bytes, buffer.size());
    std::copy_n(datagram->payload().begin(), received.bytes, buffer.begin());
    return received;
  }

  tl::expected<void, TransportError> Send(std::span<const std::byte> bytes, const Endpoint& to) override {
    const auto sent = socket_.SendTo(bytes, {to.address, to.port});
    if (!sent) return tl::unexpected(From(sent.error()));
    return {};
  }

 private:
  UdpSocket socket_;
};

class SluiceTransport final : public Transport {
 public:
  explicit SluiceTransport(RunConfig config) : config_(std::move(config)) {}

  [[nodiscard]] std::string_view name() const override { return "sluice"; }
  int Run(const std::function<int()>& main) override { return sluice::Run(config_, main); }

  tl::expected<void, std::string> Serve(uint16_t port, size_t /*workers*/, const Handler& handler) override {
    auto socket = UdpSocket::Bind({0, port}, {.queue_limit = kServeLimit});
    if (!socket) return tl::unexpected(Sentence(port, socket.error()));
    std::atomic<bool> ended{false};
    sluice::Thread watcher([&] {
      while (!StopRequested() && !ended.load(std::memory_order_relaxed)) sluice::Sleep(kStopCheck);
      socket->Shutdown();
    });
    const Error end = socket->Serve([&](Datagram datagram) {
      std::array<std::byte, kMaxDatagram> reply;
      const Received how = Describe(datagram);
      const size_t bytes = handler(how, datagram.payload(), reply);
      datagram.Release();
      // A reply that the transmit ring has no room for is lost, as on the wire; the runtime counts it.
      if (bytes != 0)
        static_cast<void>(socket->SendTo(std::span(reply).first(bytes), {how.from.address, how.from.port}));
    });
    ended.store(true, std::memory_order_relaxed);
    watcher.Join();
    if (end == Error::kClosed) return {};
    return tl::unexpected(Sentence(port, end));
  }

  tl::expected<std::unique_ptr<DatagramSocket>, std::string> Bind(uint16_t port) override {
    auto socket = UdpSocket::Bind({0, port});
    if (!socket) return tl::unexpected(Sentence(port, socket.error()));
    return std::make_unique<SluiceSocket>(std::move(*socket));
  }

  void Spawn(std::function<void()> body) override { threads_.emplace_back(std::move(body)); }
  void JoinAll() override { threads_.clear(); }
  void SleepUntil(Clock::time_point time) override { sluice::Sleep(Left(time)); }
  void Yield() override { sluice::Yield(); }

 private:
  // Empty when iokerneld is gone: the runtime has said so.
  static std::string Sentence(uint16_t port, Error error) {
    if (error == Error::kIoKernelGone) return {};
    return "UDP port " + std::to_string(port) + ": " + std::string(ToString(error));
  }

  RunConfig config_;
  std::vector<sluice::Thread> threads_;
};

}  // namespace

tl::expected<std::unique_ptr<Transport>, std::string> MakeSluiceTransport(const TransportOptions& options) {
  RunConfig config;
  config.name = options.name;
  config.run_dir = options.run_dir;
  config.kthreads = options.kthreads;
  config.guaranteed = options.guaranteed;
  if (options.best_effort) config.priority = RunConfig::Priority::kBestEffort;
  if (!options.address.empty()) {
    const auto address = ParseAddress(options.address);
    if (!address) return tl::unexpected("--address: " + address.error());
    config.address = *address;
  }
  return std::make_unique<SluiceTransport>(std::move(config));
}

}  // namespace sluice::apps
