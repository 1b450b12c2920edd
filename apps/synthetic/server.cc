#include "apps/synthetic/server.h"

#include <algorithm>
#include <atomic>
#include <cstdio>

#include "apps/lib/service.h"
#include "apps/synthetic/message.h"

namespace sluice::apps {

tl::expected<ServerCounts, std::string> RunServer(Transport& transport, const ServerOptions& options) {
  const Spinner spinner = Spinner::Calibrate();
  std::atomic<uint64_t> served{0};
  std::atomic<uint64_t> malformed{0};
  const auto handler = [&](const Received& how, std::span<const std::byte> request,
                           std::span<std::byte> reply) -> size_t {
    auto message = ReadMessage(request, Message::kRequest);
    if (!message) {
      malformed.fetch_add(1, std::memory_order_relaxed);
      return 0;
    }
    spinner.Spin(message->service_ns);
    message->type = Message::kReply;
    message->steered = how.steered;
    message->executing = how.executing;
    std::copy(request.begin() + sizeof(Message), request.end(), reply.begin() + sizeof(Message));
    WriteMessage(*message, reply);
    served.fetch_add(1, std::memory_order_relaxed);
    return request.size();
  };
  std::printf("synthetic: serving UDP port %u\n", unsigned{options.port});
  std::fflush(stdout);
  const auto end = transport.Serve(options.port, options.workers, handler);
  if (!end) return tl::unexpected(end.error());
  return ServerCounts{served.load(), malformed.load()};
}

}  // namespace sluice::apps
