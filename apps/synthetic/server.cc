#include "apps/synthetic/server.h"

#include <array>
#include <cstdio>
#include <vector>

#include "apps/lib/flows.h"
#include "apps/lib/service.h"
#include "apps/synthetic/message.h"

namespace sluice::apps {
namespace {

constexpr std::chrono::milliseconds kStopCheck{100};

void Serve(DatagramSocket& socket, const Spinner& spinner, ServerCounts* counts) {
  std::array<std::byte, kMaxDatagram> buffer;
  while (!StopRequested()) {
    const auto received = socket.Receive(buffer, Clock::now() + kStopCheck);
    if (!received) {
      if (received.error() == TransportError::kTimedOut) continue;
      counts->gone = true;
      return;
    }
    const std::span<std::byte> bytes = std::span(buffer).first(received->bytes);
    auto message = ReadMessage(bytes, Message::kRequest);
    if (!message) {
      ++counts->malformed;
      continue;
    }
    spinner.Spin(message->service_ns);
    message->type = Message::kReply;
    message->steered = received->steered;
    message->executing = received->executing;
    WriteMessage(*message, bytes);
    if (socket.Send(bytes, received->from)) {
      ++counts->served;
    } else {
      ++counts->unsent;
    }
  }
}

}  // namespace

tl::expected<ServerCounts, std::string> RunServer(Transport& transport, const ServerOptions& options) {
  const Spinner spinner = Spinner::Calibrate();
  auto sockets = transport.Bind(options.port, options.workers);
  if (!sockets) return tl::unexpected(sockets.error());
  std::printf("synthetic: serving UDP port %u with %zu workers, %.3f rounds per ns\n", unsigned{options.port},
              options.workers, spinner.rounds_per_ns());
  std::fflush(stdout);

  std::vector<ServerCounts> counts(options.workers);
  for (size_t i = 0; i < options.workers; ++i) {
    transport.Spawn([&, i] { Serve(*(*sockets)[i], spinner, &counts[i]); });
  }
  transport.JoinAll();
  ServerCounts total;
  for (const ServerCounts& one : counts) {
    total.served += one.served;
    total.malformed += one.malformed;
    total.unsent += one.unsent;
    total.gone = total.gone || one.gone;
  }
  return total;
}

}  // namespace sluice::apps
