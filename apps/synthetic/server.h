// server.h - serves the synthetic load: spins for the time that a request asks for, and sends it back.
#pragma once

#include <cstdint>
#include <string>
#include <tl/expected.hpp>

#include "apps/lib/transport.h"

namespace sluice::apps {

struct ServerOptions {
  uint16_t port = 7000;
  size_t workers = 1;  // on Linux
};

struct ServerCounts {
  uint64_t served = 0;
  uint64_t malformed = 0;  // not a request
};

// Until a stop signal. Called inside Transport::Run. Error: a sentence.
[[nodiscard]] tl::expected<ServerCounts, std::string> RunServer(Transport& transport, const ServerOptions& options);

}  // namespace sluice::apps
