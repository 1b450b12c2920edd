// flows.h - one Linux client that is very many UDP flows: source addresses times a few ports.
//
// The addresses are a whole network that is routed to the client: `ip route add local 10.64.0.0/10 dev lo` in
// its namespace makes Linux take the replies, IP_PKTINFO chooses the source per packet, and the server's side
// has a route to the network via the client. So 700 000 flows need four sockets, and no address is configured.
//
// Threads: one.
#pragma once

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "apps/lib/parse.h"
#include "apps/lib/transport.h"

namespace sluice::apps {

inline constexpr size_t kFlowBatch = 32;

struct FlowOptions {
  Endpoint target;
  uint32_t flows = 1;
  std::optional<Network> sources;  // without: the one address that routing chooses, so flows = ports
  uint16_t first_port = 20000;
};

class FlowSockets {
 public:
  static constexpr uint32_t kPortsWithSources = 4;
  static constexpr uint32_t kMaxPorts = 1024;

  [[nodiscard]] static tl::expected<FlowSockets, std::string> Open(const FlowOptions& options);
  FlowSockets(FlowSockets&& other) noexcept;
  FlowSockets& operator=(FlowSockets&&) = delete;
  ~FlowSockets();

  struct Outgoing {
    uint32_t flow;
    std::span<const std::byte> bytes;
  };
  // Sends a prefix of `batch` (up to kFlowBatch); fewer when a socket's buffer is full. errno of a refusal other than
  // that is kept in last_error().
  size_t Send(std::span<const Outgoing> batch);

  // Calls `got(std::span<const std::byte>)` for every datagram that is here; returns how many there were.
  template <class Function>
  size_t Receive(Function&& got) {
    size_t total = 0;
    for (const pollfd& socket : sockets_) total += ReceiveOn(socket.fd, got);
    return total;
  }

  // Sleeps until a datagram is here or `wait` is over.
  void Wait(std::chrono::nanoseconds wait);

  [[nodiscard]] Endpoint SourceOf(uint32_t flow) const;
  [[nodiscard]] size_t sockets() const { return sockets_.size(); }
  [[nodiscard]] int last_error() const { return last_error_; }

 private:
  struct Buffers;
  explicit FlowSockets(const FlowOptions& options, uint32_t ports);
  // Receives up to kFlowBatch datagrams; their bytes are in datagram(i).
  int ReceiveBatch(int fd);
  [[nodiscard]] std::span<const std::byte> datagram(int i) const;

  template <class Function>
  size_t ReceiveOn(int fd, Function&& got) {
    const int count = ReceiveBatch(fd);
    for (int i = 0; i < count; ++i) got(datagram(i));
    return static_cast<size_t>(count);
  }

  FlowOptions options_;
  uint32_t ports_;
  std::vector<pollfd> sockets_;
  std::unique_ptr<Buffers> buffers_;
  int last_error_ = 0;
};

}  // namespace sluice::apps
