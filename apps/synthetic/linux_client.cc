// linux_client.cc - the load generator on Linux sockets: one thread that sends what is due and takes what is here.
#include <sys/prctl.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "apps/synthetic/client.h"

namespace sluice::apps {
namespace {

// How far behind its schedule the client may still be when the time is over, before it gives the rest up.
constexpr uint64_t kGiveUpNs = 1'000'000'000;
constexpr std::chrono::milliseconds kLongestSleep{50};  // to notice a stop request

class LinuxClient {
 public:
  LinuxClient(const ClientOptions& options, FlowSockets sockets)
      : options_(options), sockets_(std::move(sockets)), plan_(options.load), account_(options.load) {}

  tl::expected<ClientResult, std::string> Run() {
    // Without this the kernel may end every sleep 50 us late.
    prctl(PR_SET_TIMERSLACK, 1UL);
    start_ = Clock::now();
    while (!StopRequested() && !Over(NowNs())) {
      const size_t sent = SendDue();
      const size_t received = sockets_.Receive([this](std::span<const std::byte> bytes) {
        if (const auto reply = ReadMessage(bytes, Message::kReply)) account_.OnReply(*reply, NowNs());
      });
      if (sent == 0 && received == 0 && !options_.spin) Sleep();
    }
    if (StopRequested()) return tl::unexpected(std::string("stopped by a signal"));
    if (account_.replies() == 0 && sockets_.last_error() != 0) {
      return tl::unexpected("to " + ToString(options_.target) + ": " + std::strerror(sockets_.last_error()));
    }
    ClientResult result;
    plan_.Report(&result.counts);
    account_.Report(&result.counts);
    result.latency_ns = account_.latency_ns();
    return result;
  }

 private:
  [[nodiscard]] uint64_t NowNs() const {
    return static_cast<uint64_t>(std::chrono::nanoseconds(Clock::now() - start_).count());
  }

  [[nodiscard]] bool Over(uint64_t now_ns) const {
    const uint64_t end_ns = options_.load.end_ns();
    if (!plan_.Done() || waiting_ != 0) return now_ns > end_ns + kGiveUpNs;
    return account_.replies() >= sent_ || now_ns > end_ns + options_.drain_ns;
  }

  size_t SendDue() {
    const uint64_t now_ns = NowNs();
    while (waiting_ < kFlowBatch && !plan_.Done() && plan_.due_ns() <= now_ns) {
      messages_[waiting_] = plan_.Take();
      WriteMessage(messages_[waiting_], bytes_[waiting_]);
      ++waiting_;
    }
    if (waiting_ == 0) return 0;
    std::array<FlowSockets::Outgoing, kFlowBatch> batch;
    for (size_t i = 0; i < waiting_; ++i) {
      batch[i] = {messages_[i].flow, std::span(bytes_[i]).first(options_.request_bytes)};
    }
    const size_t sent = sockets_.Send(std::span(batch).first(waiting_));
    for (size_t i = 0; i < sent; ++i) plan_.OnSent(messages_[i].due_ns, now_ns);
    std::copy(messages_.begin() + static_cast<ptrdiff_t>(sent), messages_.begin() + static_cast<ptrdiff_t>(waiting_),
              messages_.begin());
    waiting_ -= sent;
    for (size_t i = 0; i < waiting_; ++i) WriteMessage(messages_[i], bytes_[i]);
    sent_ += sent;
    return sent;
  }

  void Sleep() {
    const uint64_t now_ns = NowNs();
    std::chrono::nanoseconds wait = kLongestSleep;
    if (waiting_ != 0) {
      wait = std::chrono::microseconds(20);  // a socket's buffer is full
    } else if (!plan_.Done()) {
      wait = std::min(wait, std::chrono::nanoseconds(plan_.due_ns() > now_ns ? plan_.due_ns() - now_ns : 0));
    }
    sockets_.Wait(wait);
  }

  const ClientOptions& options_;
  FlowSockets sockets_;
  LoadPlan plan_;
  LoadAccount account_;
  Clock::time_point start_;
  std::array<Message, kFlowBatch> messages_;  // taken from the plan, not sent yet
  std::array<std::array<std::byte, kMaxDatagram>, kFlowBatch> bytes_{};
  size_t waiting_ = 0;
  uint64_t sent_ = 0;
};

}  // namespace

tl::expected<ClientResult, std::string> RunLinuxClient(const ClientOptions& options) {
  FlowOptions flows;
  flows.target = options.target;
  flows.flows = options.load.flows;
  flows.sources = options.sources;
  flows.first_port = options.first_port;
  auto sockets = FlowSockets::Open(flows);
  if (!sockets) return tl::unexpected(sockets.error());
  return LinuxClient(options, std::move(*sockets)).Run();
}

}  // namespace sluice::apps
