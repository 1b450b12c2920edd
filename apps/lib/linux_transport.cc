// linux_transport.cc - the transport on Linux sockets and pthreads.
#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <thread>
#include <vector>

#include "apps/lib/transport.h"

namespace sluice::apps {
namespace {

constexpr int kSocketBuffer = 4 << 20;

class LinuxSocket final : public DatagramSocket {
 public:
  explicit LinuxSocket(int fd) : fd_(fd) {}
  ~LinuxSocket() override { close(fd_); }

  tl::expected<Received, TransportError> Receive(std::span<std::byte> buffer, Clock::time_point deadline) override {
    sockaddr_in from{};
    socklen_t from_bytes = sizeof(from);
    for (;;) {
      const ssize_t bytes =
          recvfrom(fd_, buffer.data(), buffer.size(), MSG_DONTWAIT, reinterpret_cast<sockaddr*>(&from), &from_bytes);
      if (bytes >= 0) {
        return Received{static_cast<size_t>(bytes), {ntohl(from.sin_addr.s_addr), ntohs(from.sin_port)}};
      }
      if (errno != EAGAIN && errno != EINTR && errno != ECONNREFUSED) return tl::unexpected(TransportError::kOther);
      const auto left = deadline - Clock::now();
      if (left <= Clock::duration::zero()) return tl::unexpected(TransportError::kTimedOut);
      const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(left).count();
      const timespec time{ns / 1'000'000'000, ns % 1'000'000'000};
      pollfd poll{fd_, POLLIN, 0};
      ppoll(&poll, 1, &time, nullptr);
    }
  }

  tl::expected<void, TransportError> Send(std::span<const std::byte> bytes, const Endpoint& to) override {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(to.address);
    address.sin_port = htons(to.port);
    for (;;) {
      const ssize_t sent =
          sendto(fd_, bytes.data(), bytes.size(), 0, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
      if (sent >= 0) return {};
      if (errno == EINTR) continue;
      return tl::unexpected(errno == EAGAIN || errno == ENOBUFS ? TransportError::kFull : TransportError::kOther);
    }
  }

 private:
  int fd_;
};

class LinuxTransport final : public Transport {
 public:
  [[nodiscard]] std::string_view name() const override { return "linux"; }
  int Run(const std::function<int()>& main) override { return main(); }

  tl::expected<void, std::string> Serve(uint16_t port, size_t workers, const Handler& handler) override {
    std::vector<std::unique_ptr<LinuxSocket>> sockets;
    for (size_t i = 0; i < workers; ++i) {
      auto opened = Open(port, true);
      if (!opened) return tl::unexpected(opened.error());
      sockets.push_back(std::move(*opened));
    }
    std::atomic<bool> failed{false};
    for (const auto& socket : sockets) {
      Spawn([&handler, &failed, one = socket.get()] {
        if (!ServeOn(*one, handler)) failed.store(true, std::memory_order_relaxed);
      });
    }
    JoinAll();
    if (failed.load(std::memory_order_relaxed)) return tl::unexpected(std::string("a socket failed"));
    return {};
  }

  tl::expected<std::unique_ptr<DatagramSocket>, std::string> Bind(uint16_t port) override { return Open(port, false); }

  void Spawn(std::function<void()> body) override { threads_.emplace_back(std::move(body)); }
  void JoinAll() override {
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }
  void SleepUntil(Clock::time_point time) override { std::this_thread::sleep_until(time); }
  void Yield() override {}  // the kernel preempts without being asked

 private:
  static constexpr std::chrono::milliseconds kStopCheck{100};

  static tl::expected<std::unique_ptr<LinuxSocket>, std::string> Open(uint16_t port, bool shared) {
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return tl::unexpected(std::string("socket: ") + std::strerror(errno));
    auto result = std::make_unique<LinuxSocket>(fd);
    const int on = 1;
    if (shared) setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &kSocketBuffer, sizeof(kSocketBuffer)) != 0) {
      setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &kSocketBuffer, sizeof(kSocketBuffer));
    }
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
      return tl::unexpected("UDP port " + std::to_string(port) + ": " + std::strerror(errno));
    }
    return result;
  }

  static bool ServeOn(LinuxSocket& socket, const Handler& handler) {
    std::array<std::byte, kMaxDatagram> request;
    std::array<std::byte, kMaxDatagram> reply;
    while (!StopRequested()) {
      const auto received = socket.Receive(request, Clock::now() + kStopCheck);
      if (!received && received.error() == TransportError::kTimedOut) continue;
      if (!received) return false;
      const size_t bytes = handler(*received, std::span(request).first(received->bytes), reply);
      // A reply that Linux has no room for is lost, as on the wire.
      if (bytes != 0) static_cast<void>(socket.Send(std::span(reply).first(bytes), received->from));
    }
    return true;
  }

  std::vector<std::thread> threads_;
};

}  // namespace

std::unique_ptr<Transport> MakeLinuxTransport() { return std::make_unique<LinuxTransport>(); }

}  // namespace sluice::apps
