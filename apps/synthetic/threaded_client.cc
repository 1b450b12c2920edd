// threaded_client.cc - the load generator on a transport whose threads are cheap: a socket and a receiver per flow.
#include <atomic>
#include <memory>
#include <vector>

#include "apps/synthetic/client.h"

namespace sluice::apps {
namespace {

constexpr size_t kMaxSockets = 1024;

}  // namespace

tl::expected<ClientResult, std::string> RunThreadedClient(Transport& transport, const ClientOptions& options) {
  if (options.load.flows > kMaxSockets) {
    return tl::unexpected(std::to_string(options.load.flows) + " flows, allowed on this transport is 1 to " +
                          std::to_string(kMaxSockets));
  }
  std::vector<std::unique_ptr<DatagramSocket>> sockets;
  for (uint32_t i = 0; i < options.load.flows; ++i) {
    auto socket = transport.Bind(static_cast<uint16_t>(options.first_port + i));
    if (!socket) return tl::unexpected(socket.error());
    sockets.push_back(std::move(*socket));
  }
  const Clock::time_point start = Clock::now();
  const auto now_ns = [start] { return static_cast<uint64_t>(std::chrono::nanoseconds(Clock::now() - start).count()); };

  std::vector<LoadAccount> accounts(sockets.size(), LoadAccount(options.load));
  std::atomic<uint64_t> replies{0};
  std::atomic<bool> over{false};
  std::atomic<bool> gone{false};
  for (size_t i = 0; i < sockets.size(); ++i) {
    transport.Spawn([&, i] {
      std::vector<std::byte> buffer(kMaxDatagram);
      while (!over.load(std::memory_order_relaxed)) {
        const auto received = sockets[i]->Receive(buffer, Clock::now() + std::chrono::milliseconds(20));
        if (!received) {
          if (received.error() == TransportError::kGone) gone.store(true, std::memory_order_relaxed);
          if (received.error() == TransportError::kTimedOut) continue;
          return;
        }
        const auto reply = ReadMessage(std::span(buffer).first(received->bytes), Message::kReply);
        if (!reply) continue;
        accounts[i].OnReply(*reply, now_ns());
        replies.fetch_add(1, std::memory_order_relaxed);
      }
    });
  }

  LoadPlan plan(options.load);
  uint64_t sent = 0;
  std::vector<std::byte> bytes(options.request_bytes);
  while (!plan.Done() && !StopRequested() && !gone.load(std::memory_order_relaxed)) {
    const uint64_t now = now_ns();
    if (plan.due_ns() > now) {
      if (!options.spin) transport.SleepUntil(start + std::chrono::nanoseconds(plan.due_ns()));
      continue;
    }
    const Message message = plan.Take();
    WriteMessage(message, bytes);
    if (sockets[message.flow]->Send(bytes, options.target)) {
      plan.OnSent(message.due_ns, now);
      ++sent;
    }
  }
  const Clock::time_point deadline = Clock::now() + std::chrono::nanoseconds(options.drain_ns);
  while (replies.load(std::memory_order_relaxed) < sent && Clock::now() < deadline && !StopRequested()) {
    transport.SleepUntil(Clock::now() + std::chrono::milliseconds(1));
  }
  over.store(true, std::memory_order_relaxed);
  transport.JoinAll();
  if (gone.load(std::memory_order_relaxed)) return tl::unexpected(std::string());  // the runtime has said so
  if (StopRequested()) return tl::unexpected(std::string("stopped by a signal"));

  ClientResult result;
  for (size_t i = 1; i < accounts.size(); ++i) accounts[0].Merge(accounts[i]);
  plan.Report(&result.counts);
  accounts[0].Report(&result.counts);
  result.latency_ns = accounts[0].latency_ns();
  return result;
}

}  // namespace sluice::apps
