// server.h - netperf's server: answers requests, counts streams.
#pragma once

#include <atomic>

#include "apps/lib/transport.h"
#include "apps/netperf/protocol.h"

namespace sluice::apps {

// What the server does with a datagram. Threads: any number at once.
class NetperfService {
 public:
  [[nodiscard]] size_t Handle(std::span<const std::byte> request, std::span<std::byte> reply);

 private:
  // Counts of the latest run that streamed. A run that starts while another goes on takes the counts over; the
  // other's client then sees a foreign run in the answer and says so.
  std::atomic<uint32_t> run_{0};
  std::atomic<uint64_t> packets_{0};
  std::atomic<uint64_t> bytes_{0};
};

// Until a stop signal. Called inside Transport::Run. Error: a sentence.
[[nodiscard]] tl::expected<void, std::string> RunNetperfServer(Transport& transport, uint16_t port, size_t workers);

}  // namespace sluice::apps
