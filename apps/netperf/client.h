// client.h - netperf's tests: UDP_RR (a number of requests in flight per thread) and UDP_STREAM (as many as will go).
#pragma once

#include <string>
#include <tl/expected.hpp>

#include "apps/lib/result.h"
#include "apps/lib/transport.h"

namespace sluice::apps {

struct NetperfOptions {
  Endpoint target;
  size_t threads = 1;
  size_t outstanding = 1;  // UDP_RR: requests in flight per thread
  size_t bytes = 64;
  double seconds = 5;
  double warmup = 0.5;
};

struct NetperfResult {
  RunCounts counts;
  abi::Histogram latency_ns;
  uint64_t stream_bytes = 0;  // of UDP_STREAM, as the server received them
};

// Both are called inside Transport::Run. Error: a sentence.
[[nodiscard]] tl::expected<NetperfResult, std::string> RunUdpRr(Transport& transport, const NetperfOptions& options);
[[nodiscard]] tl::expected<NetperfResult, std::string> RunUdpStream(Transport& transport,
                                                                    const NetperfOptions& options);

}  // namespace sluice::apps
