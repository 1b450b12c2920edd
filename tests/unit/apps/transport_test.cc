// transport_test.cc - server and client over Linux sockets on the loopback.
#include "apps/lib/transport.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>

#include "apps/synthetic/message.h"

namespace sluice::apps {
namespace {

using ::testing::HasSubstr;

// A port of this process alone: tests run side by side.
const uint16_t kPort = static_cast<uint16_t>(10'000 + getpid() * 16 % 40'000);

TEST(LinuxTransport, ADatagramArrivesWithItsSender) {
  auto transport = MakeLinuxTransport();
  auto server = transport->Bind(kPort);
  auto client = transport->Bind(kPort + 1);
  ASSERT_TRUE(server && client);
  const std::array<std::byte, 3> bytes{};
  ASSERT_TRUE((*client)->Send(bytes, {0x7f000001, kPort}));
  std::array<std::byte, 16> buffer;
  const auto received = (*server)->Receive(buffer, Clock::now() + std::chrono::seconds(5));
  ASSERT_TRUE(received);
  EXPECT_EQ(received->bytes, 3u);
  EXPECT_EQ(received->from, (Endpoint{0x7f000001, static_cast<uint16_t>(kPort + 1)}));
  EXPECT_EQ(received->steered, kNoKthread);
}

TEST(LinuxTransport, APortInUseIsRefused) {
  auto transport = MakeLinuxTransport();
  auto first = transport->Bind(kPort + 2);
  ASSERT_TRUE(first);
  EXPECT_THAT(transport->Bind(kPort + 2).error(), HasSubstr("in use"));
}

TEST(LinuxTransport, ReceiveGivesUpAtItsDeadline) {
  auto transport = MakeLinuxTransport();
  auto server = transport->Bind(kPort + 3);
  ASSERT_TRUE(server);
  std::array<std::byte, 16> buffer;
  const auto received = (*server)->Receive(buffer, Clock::now());
  ASSERT_FALSE(received);
  EXPECT_EQ(received.error(), TransportError::kTimedOut);
}

TEST(LinuxTransport, AnUnknownNameListsTheKnownOnes) {
  EXPECT_THAT(MakeTransport("tcp", {}).error(), HasSubstr("linux"));
}

TEST(Cpus, AListIsReadWhole) {
  for (const char* wrong : {"", "x", "1-", "2-1", "0,", "0;1", "99999"}) EXPECT_FALSE(PinToCpus(wrong)) << wrong;
}

TEST(Message, OnlyAWholeMessageOfTheWantedTypeIsRead) {
  std::array<std::byte, sizeof(Message)> bytes;
  WriteMessage(Message{}, bytes);
  EXPECT_TRUE(ReadMessage(bytes, Message::kRequest));
  EXPECT_FALSE(ReadMessage(bytes, Message::kReply));
  EXPECT_FALSE(ReadMessage(std::span(bytes).first(31), Message::kRequest));
}

}  // namespace
}  // namespace sluice::apps
