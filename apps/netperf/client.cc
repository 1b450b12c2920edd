#include "apps/netperf/client.h"

#include <algorithm>
#include <memory>
#include <random>
#include <vector>

#include "apps/netperf/protocol.h"
#include "apps/netperf/request_reply.h"

namespace sluice::apps {
namespace {

constexpr std::chrono::milliseconds kAnswerTimeout{1000};
constexpr int kQueryTries = 5;

using Sockets = std::vector<std::unique_ptr<DatagramSocket>>;

tl::expected<Sockets, std::string> OpenSockets(Transport& transport, size_t count) {
  Sockets sockets;
  for (size_t i = 0; i < count; ++i) {
    auto socket = transport.Bind(0);
    if (!socket) return tl::unexpected(socket.error());
    sockets.push_back(std::move(*socket));
  }
  return sockets;
}

// The time of a test: what starts before `begin` is warm-up.
struct Window {
  explicit Window(const NetperfOptions& options)
      : begin(Clock::now() + Seconds(options.warmup)), end(begin + Seconds(options.seconds)) {}
  static Clock::duration Seconds(double seconds) {
    return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  }
  Clock::time_point begin;
  Clock::time_point end;
};

struct alignas(64) ThreadCounts {
  uint64_t sent = 0;
  bool gone = false;
};

void Stream(DatagramSocket& socket, const NetperfOptions& options, const Window& window, uint32_t run,
            Transport& transport, ThreadCounts* counts) {
  std::vector<std::byte> packet(options.bytes);
  for (uint64_t sequence = 1; !StopRequested() && Clock::now() < window.end; ++sequence) {
    WriteHeader({Kind::kStream, run, sequence, 0, 0}, packet);
    const auto sent = socket.Send(packet, options.target);
    if (sent) {
      ++counts->sent;
    } else if (sent.error() == TransportError::kGone) {
      counts->gone = true;
      return;
    } else {
      transport.Yield();  // the transmit ring is full
    }
  }
}

// What the server counted of this run.
tl::expected<Header, std::string> AskServer(DatagramSocket& socket, const NetperfOptions& options, uint32_t run) {
  std::vector<std::byte> bytes(kMaxDatagram);
  for (int i = 0; i < kQueryTries && !StopRequested(); ++i) {
    Header query{Kind::kQuery, run, 0, 0, 0};
    WriteHeader(query, bytes);
    if (!socket.Send(std::span(bytes).first(sizeof(query)), options.target)) continue;
    const auto received = socket.Receive(bytes, Clock::now() + kAnswerTimeout);
    if (!received) continue;
    const auto header = ReadHeader(std::span(bytes).first(received->bytes));
    if (!header || header->kind != Kind::kCount) continue;
    if (header->run == run) return *header;
    return tl::unexpected(std::string("the server counts another client's stream"));
  }
  return tl::unexpected("no answer from " + ToString(options.target));
}

tl::expected<void, std::string> CheckEnd(bool gone) {
  if (StopRequested()) return tl::unexpected(std::string("stopped by a signal"));
  if (gone) return tl::unexpected(std::string());  // the runtime has said so
  return {};
}

}  // namespace

tl::expected<NetperfResult, std::string> RunUdpRr(Transport& transport, const NetperfOptions& options) {
  auto sockets = OpenSockets(transport, options.threads);
  if (!sockets) return tl::unexpected(sockets.error());
  const uint32_t run = std::random_device()();
  const Window window(options);
  std::vector<std::unique_ptr<RequestReply>> threads;
  for (const auto& socket : *sockets) {
    threads.push_back(std::make_unique<RequestReply>(*socket, options, window.begin, window.end, run));
    transport.Spawn([thread = threads.back().get()] { thread->Run(); });
  }
  transport.JoinAll();

  NetperfResult result;
  bool gone = false;
  result.counts.seconds = options.seconds;
  for (const auto& thread : threads) {
    const RequestReply::Counts& counts = thread->counts();
    gone = gone || counts.gone;
    result.counts.sent += counts.sent;
    result.counts.received += counts.received;
    result.latency_ns.Merge(counts.latency_ns);
  }
  if (auto end = CheckEnd(gone); !end) return tl::unexpected(end.error());
  result.counts.planned = result.counts.sent;
  return result;
}

tl::expected<NetperfResult, std::string> RunUdpStream(Transport& transport, const NetperfOptions& options) {
  auto sockets = OpenSockets(transport, options.threads);
  if (!sockets) return tl::unexpected(sockets.error());
  const uint32_t run = std::random_device()();
  NetperfOptions without_warmup = options;
  without_warmup.warmup = 0;  // the server could not tell it from the rest
  const Window window(without_warmup);
  std::vector<ThreadCounts> threads(options.threads);
  for (size_t i = 0; i < options.threads; ++i) {
    transport.Spawn([&, i] { Stream(*(*sockets)[i], options, window, run, transport, &threads[i]); });
  }
  transport.JoinAll();
  const bool gone = std::any_of(threads.begin(), threads.end(), [](const auto& thread) { return thread.gone; });
  if (auto end = CheckEnd(gone); !end) return tl::unexpected(end.error());

  const auto counted = AskServer(*sockets->front(), options, run);
  if (!counted) return tl::unexpected(counted.error());
  NetperfResult result;
  result.counts.seconds = options.seconds;
  for (const ThreadCounts& thread : threads) result.counts.sent += thread.sent;
  result.counts.planned = result.counts.sent;
  result.counts.received = counted->packets;
  result.counts.why_no_latency = "UDP_STREAM measures no latency";
  result.stream_bytes = counted->bytes;
  return result;
}

}  // namespace sluice::apps
