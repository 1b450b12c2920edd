// client.h - the load generator: sends by the plan, whatever comes back, and reports.
#pragma once

#include <optional>
#include <string>
#include <tl/expected.hpp>

#include "apps/lib/flows.h"
#include "apps/synthetic/load.h"

namespace sluice::apps {

struct ClientOptions {
  Endpoint target;
  LoadOptions load;
  std::optional<Network> sources;
  uint16_t first_port = 20000;
  size_t request_bytes = 64;
  uint64_t drain_ns = 1'000'000'000;  // how long to wait for the last replies
  bool spin = false;                  // never sleep: for a client with a CPU of its own
};

struct ClientResult {
  RunCounts counts;
  abi::Histogram latency_ns;
};

// One thread, few sockets, many flows. Error: a sentence.
[[nodiscard]] tl::expected<ClientResult, std::string> RunLinuxClient(const ClientOptions& options);

// On any transport, a socket and a receiving thread per flow. Called inside Transport::Run.
[[nodiscard]] tl::expected<ClientResult, std::string> RunThreadedClient(Transport& transport,
                                                                        const ClientOptions& options);

}  // namespace sluice::apps
