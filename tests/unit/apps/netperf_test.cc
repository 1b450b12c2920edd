// netperf_test.cc - what netperf's server does with a datagram.
#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "apps/lib/transport.h"
#include "apps/netperf/server.h"

namespace sluice::apps {
namespace {

std::vector<std::byte> Packet(const Header& header, size_t bytes) {
  std::vector<std::byte> packet(bytes, std::byte{7});
  WriteHeader(header, packet);
  return packet;
}

Header Count(NetperfService& service, uint32_t run) {
  std::array<std::byte, kMaxDatagram> reply;
  const size_t bytes = service.Handle(Packet({Kind::kQuery, run, 0, 0, 0}, sizeof(Header)), reply);
  return ReadHeader(std::span(reply).first(bytes)).value_or(Header{});
}

TEST(Netperf, ARequestComesBackWholeAsAReply) {
  NetperfService service;
  std::array<std::byte, kMaxDatagram> reply{};
  ASSERT_EQ(service.Handle(Packet({Kind::kRequest, 1, 9, 0, 0}, 100), reply), 100u);
  const auto header = ReadHeader(reply);
  EXPECT_EQ(header->kind, Kind::kReply);
  EXPECT_EQ(header->sequence, 9u);
  EXPECT_EQ(reply[99], std::byte{7});
}

TEST(Netperf, AStreamIsCountedPerRun) {
  NetperfService service;
  std::array<std::byte, kMaxDatagram> reply;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(service.Handle(Packet({Kind::kStream, 1, 0, 0, 0}, 100), reply), 0u);
  EXPECT_EQ(Count(service, 1).packets, 3u);
  EXPECT_EQ(Count(service, 1).bytes, 300u);
  EXPECT_EQ(service.Handle(Packet({Kind::kStream, 2, 0, 0, 0}, 50), reply), 0u);
  EXPECT_EQ(Count(service, 2).run, 2u);
  EXPECT_EQ(Count(service, 2).packets, 1u);
}

TEST(Netperf, RepliesAndRubbishAreNeverAnswered) {
  NetperfService service;
  std::array<std::byte, kMaxDatagram> reply;
  EXPECT_EQ(service.Handle(Packet({Kind::kReply, 1, 0, 0, 0}, 100), reply), 0u);
  EXPECT_EQ(service.Handle(Packet({Kind::kCount, 1, 0, 0, 0}, 100), reply), 0u);
  EXPECT_EQ(service.Handle(Packet({static_cast<Kind>(5), 1, 0, 0, 0}, 100), reply), 0u);
  EXPECT_EQ(service.Handle(std::vector<std::byte>(31), reply), 0u);
}

}  // namespace
}  // namespace sluice::apps
