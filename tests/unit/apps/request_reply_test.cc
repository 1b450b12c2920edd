// request_reply_test.cc - UDP_RR counts every reply once, whatever order, copies and losses the network makes.
#include "apps/netperf/request_reply.h"

#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "apps/netperf/protocol.h"

namespace sluice::apps {
namespace {

constexpr uint32_t kRun = 42;

// Answers in random order, some twice, between replies of another run and rubbish; loses every `lose`th request.
class WildNetwork final : public DatagramSocket {
 public:
  WildNetwork(uint32_t seed, uint64_t lose) : random_(seed), lose_(lose) {}

  tl::expected<void, TransportError> Send(std::span<const std::byte> bytes, const Endpoint&) override {
    const auto header = ReadHeader(bytes);
    EXPECT_TRUE(header && header->kind == Kind::kRequest && header->run == kRun);
    ++sent;
    if (lose_ != 0 && sent % lose_ == 0) {
      ++lost;
    } else {
      pending_.push_back(*header);
    }
    most_in_flight = std::max(most_in_flight, pending_.size());
    return {};
  }

  tl::expected<Received, TransportError> Receive(std::span<std::byte> buffer, Clock::time_point deadline) override {
    if (pending_.empty()) {
      std::this_thread::sleep_until(deadline);
      return tl::unexpected(TransportError::kTimedOut);
    }
    Header header{Kind::kReply, kRun, random_(), 0, 0};
    switch (random_() % 4) {
      case 0:  // of another run, for a request that is in flight
        header = pending_[random_() % pending_.size()];
        header.kind = Kind::kReply;
        header.run = kRun + 1;
        break;
      case 1:  // to nothing that was asked: a random sequence number
        break;
      case 2:  // the last one, once more
        header = answered_.empty() ? header : answered_.back();
        break;
      default: {
        std::swap(pending_[random_() % pending_.size()], pending_.back());
        header = pending_.back();
        header.kind = Kind::kReply;
        pending_.pop_back();
        answered_.push_back(header);
      }
    }
    WriteHeader(header, buffer);
    return Received{sizeof(Header), {}};
  }

  [[nodiscard]] size_t unanswered() const { return pending_.size(); }

  uint64_t sent = 0;
  uint64_t lost = 0;
  size_t most_in_flight = 0;

 private:
  std::mt19937_64 random_;
  uint64_t lose_;
  std::vector<Header> pending_;
  std::vector<Header> answered_;
};

RequestReply::Counts RunOn(WildNetwork& network, size_t outstanding, std::chrono::milliseconds time) {
  NetperfOptions options;
  options.outstanding = outstanding;
  const Clock::time_point now = Clock::now();
  RequestReply test(network, options, now, now + time, kRun);
  test.Run();
  return test.counts();
}

TEST(RequestReply, EveryRequestIsAnsweredOnceThroughReorderingAndCopies) {
  for (uint32_t seed = 0; seed < 20; ++seed) {
    WildNetwork network(seed, 0);
    const size_t outstanding = 1 + seed % 7;
    const auto counts = RunOn(network, outstanding, std::chrono::milliseconds(5));
    EXPECT_EQ(counts.sent, network.sent) << "seed " << seed;
    EXPECT_EQ(counts.received, counts.sent) << "seed " << seed;
    EXPECT_EQ(network.unanswered(), 0u) << "seed " << seed;
    EXPECT_EQ(counts.latency_ns.Count(), counts.sent) << "seed " << seed;
    EXPECT_EQ(network.most_in_flight, outstanding) << "seed " << seed;
  }
}

TEST(RequestReply, LostRequestsAreGivenUpAndTheTestGoesOn) {
  WildNetwork network(1, 3);
  // All four in flight are lost in the end: from then on nothing comes until they are given up.
  const auto counts = RunOn(network, 4, std::chrono::milliseconds(1'100));
  EXPECT_EQ(counts.sent, network.sent);
  EXPECT_EQ(counts.received, counts.sent - network.lost);
  EXPECT_GT(network.lost, 4u);
  EXPECT_FALSE(counts.gone);
}

}  // namespace
}  // namespace sluice::apps
