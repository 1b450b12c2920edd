// flows_test.cc - the sockets of a client with many flows.
#include "apps/lib/flows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <utility>

namespace sluice::apps {
namespace {

using ::testing::HasSubstr;

// Ports of this process alone: tests run side by side.
uint16_t Port(int offset) { return static_cast<uint16_t>(10'000 + getpid() * 16 % 40'000 + offset); }

FlowOptions Options(uint32_t flows, bool with_network) {
  FlowOptions options;
  options.target = {0x7f000001, 9};
  options.flows = flows;
  options.first_port = Port(0);
  if (with_network) options.sources = Network{0x0a400000, 10};
  return options;
}

TEST(Flows, SevenHundredThousandFlowsAreDistinctAndUseFewSockets) {
  const auto sockets = FlowSockets::Open(Options(700'000, true));
  ASSERT_TRUE(sockets) << sockets.error();
  EXPECT_EQ(sockets->sockets(), FlowSockets::kPortsWithSources);
  std::set<std::pair<uint32_t, uint16_t>> seen;
  for (uint32_t flow = 0; flow < 700'000; ++flow) {
    const Endpoint source = sockets->SourceOf(flow);
    ASSERT_EQ(source.address & 0xffc00000, 0x0a400000u);
    ASSERT_TRUE(seen.emplace(source.address, source.port).second) << flow;
  }
}

TEST(Flows, WithoutANetworkEachFlowIsAPort) {
  const auto sockets = FlowSockets::Open(Options(5, false));
  ASSERT_TRUE(sockets) << sockets.error();
  EXPECT_EQ(sockets->sockets(), 5u);
  EXPECT_THAT(FlowSockets::Open(Options(5000, false)).error(), HasSubstr("need a network"));
}

TEST(Flows, TooManyForTheNetworkIsRefused) {
  EXPECT_FALSE(FlowSockets::Open(Options(FlowSockets::kPortsWithSources * (1u << 22), true)));
}

TEST(Flows, ABatchOverSeveralPortsReachesItsTargetAndComesBack) {
  auto receiver = FlowSockets::Open(Options(1, false));
  ASSERT_TRUE(receiver);
  FlowOptions options = Options(3, false);
  options.target.port = Port(0);
  options.first_port = Port(8);
  auto sender = FlowSockets::Open(options);
  ASSERT_TRUE(sender);
  const std::array<std::byte, 4> bytes{std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}};
  std::array<FlowSockets::Outgoing, 6> batch;
  for (uint32_t i = 0; i < batch.size(); ++i) batch[i] = {i % 3, bytes};
  EXPECT_EQ(sender->Send(batch), batch.size());
  size_t got = 0;
  for (int tries = 0; got < batch.size() && tries < 100; ++tries) {
    receiver->Wait(std::chrono::milliseconds(50));
    receiver->Receive([&](std::span<const std::byte> datagram) {
      EXPECT_TRUE(std::equal(datagram.begin(), datagram.end(), bytes.begin(), bytes.end()));
      ++got;
    });
  }
  EXPECT_EQ(got, batch.size());
}

}  // namespace
}  // namespace sluice::apps
