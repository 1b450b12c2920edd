// The way out: what is sent, what is refused, and packets between two apps.
#include <functional>

#include "tests/unit/dataplane/world.h"

namespace sluice::test {
namespace {

Bytes From(uint32_t source, uint32_t destination, uint16_t payload_bytes = 18, uint16_t source_port = 5000) {
  return UdpPacket(
      {.source = source, .destination = destination, .source_port = source_port, .payload_bytes = payload_bytes});
}

TEST(Tx, APacketToAKnownNeighbourGoesOutFramed) {
  World world;
  PlayedApp& app = world.AttachRunning({});
  world.Introduce();
  for (uint16_t payload = 0; payload <= 1472; payload += payload < 300 ? 1 : 97) {
    const Bytes packet = From(kAppA, kPeer, payload);
    ASSERT_TRUE(app.Send(0, packet));
    world.Step();
    ASSERT_EQ(world.port.out.size(), 1u);
    ASSERT_EQ(world.port.out.front(), Framed(packet, abi::kEtherTypeIpv4, kPeerMac, kPortMac));
    world.port.out.clear();
  }
  EXPECT_EQ(app.all_drops(), 0u);
  world.ExpectAccounts();
}

TEST(Tx, TheNextHopIsAskedForOnceAndThePacketsFollowInOrder) {
  World world;
  PlayedApp& app = world.AttachRunning({});
  for (uint16_t port = 1; port <= 3; ++port) ASSERT_TRUE(app.Send(0, From(kAppA, kPeer, 18, port)));
  world.Step();
  ASSERT_EQ(world.port.out.size(), 1u);
  const auto arp = abi::ParseArp(std::span(world.port.out.front()).subspan(abi::kEthernetHeaderBytes));
  ASSERT_TRUE(arp);
  EXPECT_EQ(arp->operation(), abi::kArpRequest);
  EXPECT_EQ(arp->sender_address(), kOwn);
  EXPECT_EQ(arp->target_address(), kPeer);
  EXPECT_EQ(app.counters().tx_waiting.Get(), 3u);
  world.ExpectAccounts();

  world.port.out.clear();
  world.port.in.push_back(ArpReplyFrom(kPeer));
  world.Step();
  ASSERT_EQ(world.port.out.size(), 3u);
  for (uint16_t i = 0; i < 3; ++i) EXPECT_EQ(abi::LoadBe16(world.port.out[i].data() + 34), i + 1);
  EXPECT_EQ(app.counters().tx_waiting.Get(), 0u);
  world.ExpectAccounts();
}

TEST(Tx, WithoutAnOwnAddressTheAppAsks) {
  World world({.own_address = false});
  PlayedApp& app = world.AttachRunning({});
  ASSERT_TRUE(app.Send(0, From(kAppA, kPeer)));
  world.Step();
  ASSERT_EQ(world.port.out.size(), 1u);
  const auto arp = abi::ParseArp(std::span(world.port.out.front()).subspan(abi::kEthernetHeaderBytes));
  EXPECT_EQ(arp->sender_address(), kAppA);
}

TEST(Tx, ARouteSendsToTheGateway) {
  World world({.routes = {{{Ip(10, 64, 0, 0), 10}, kPeer}}});
  PlayedApp& app = world.AttachRunning({});
  world.Introduce(kPeer);
  ASSERT_TRUE(app.Send(0, From(kAppA, Ip(10, 65, 1, 2))));
  world.Step();
  ASSERT_EQ(world.port.out.size(), 1u);
  EXPECT_EQ(abi::EthernetView(world.port.out.front()).destination(), kPeerMac);
}

TEST(Tx, WhatWaitsIsBoundedAndDroppedWhenNobodyAnswers) {
  World world;
  PlayedApp& app = world.AttachRunning({});
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(app.Send(0, From(kAppA, kPeer)));
  world.Step();
  EXPECT_EQ(app.counters().tx_waiting.Get(), 4u);
  EXPECT_EQ(app.drops(AppDrop::kTxNeighbourFull), 2u);
  for (int i = 0; i < 6; ++i) world.Wait(2000);
  EXPECT_EQ(app.counters().tx_waiting.Get(), 0u);
  EXPECT_EQ(app.drops(AppDrop::kTxUnresolved), 4u);
  EXPECT_EQ(world.port.mbufs_in_use(), 0u);
  world.ExpectAccounts();
}

TEST(Tx, AnAppThatGoesLeavesNoPacketBehind) {
  World world;
  PlayedApp& app = world.AttachRunning({});
  ASSERT_TRUE(app.Send(0, From(kAppA, kPeer)));
  world.Step();
  EXPECT_EQ(world.port.mbufs_in_use(), 1u);
  world.Detach(0);
  EXPECT_EQ(world.port.mbufs_in_use(), 0u);
}

TEST(Tx, AFullPortMakesTheRingBackUpAndLosesNothing) {
  World world;
  PlayedApp& app = world.AttachRunning({});
  world.Introduce();
  world.port.takes = 0;
  uint32_t accepted = 0;
  for (int i = 0; i < 2000; ++i) {
    accepted += app.Send(0, From(kAppA, kPeer)) ? 1 : 0;
    world.Step();
  }
  EXPECT_LT(accepted, 2000u);
  EXPECT_EQ(app.all_drops(), 0u);
  world.port.takes = ~uint64_t{0};
  world.Steps(50);
  EXPECT_EQ(world.port.out.size(), accepted);
  world.ExpectAccounts();
}

TEST(Tx, AllThatAKthreadLeftWhenItParkedIsSent) {
  World world;
  PlayedApp& app = world.AttachRunning({});
  world.Introduce();
  for (int i = 0; i < 60; ++i) ASSERT_TRUE(app.Send(0, From(kAppA, kPeer)));
  app.Park(0);
  world.Steps(2);
  EXPECT_EQ(world.port.out.size(), 60u);
  EXPECT_EQ(app.all_drops(), 0u);
}

// A kthread cannot park on a full ring; a port that stands still has no room for what is in it.
TEST(Tx, WhatAParkedKthreadLeftBeforeAFullPortIsDroppedAndCounted) {
  World world;
  PlayedApp& app = world.AttachRunning({});
  world.Introduce();
  world.port.takes = 0;
  uint64_t sent = 0;
  for (uint64_t before = ~uint64_t{0}; before != sent; world.Step()) {
    before = sent;
    while (app.Send(0, From(kAppA, kPeer))) ++sent;
  }
  const uint64_t left = sent - world.loop->counters().tx_backlog.Get();
  ASSERT_GT(left, 0u);
  EXPECT_EQ(app.all_drops(), 0u);
  app.Park(0);
  world.Steps(2);
  EXPECT_EQ(app.drops(AppDrop::kTxPortFull), left);
  EXPECT_EQ(app.all_drops(), left);
  world.port.takes = ~uint64_t{0};
  world.Step();
  EXPECT_EQ(world.port.out.size(), sent - left);
  world.ExpectAccounts();
}

TEST(Tx, WithoutPacketBuffersPacketsAreDroppedAndCounted) {
  World world;
  PlayedApp& app = world.AttachRunning({});
  world.Introduce();
  std::vector<rte_mbuf*> all(world.port.pool()->size);
  ASSERT_EQ(rte_pktmbuf_alloc_bulk(world.port.pool(), all.data(), static_cast<unsigned>(all.size())), 0);
  ASSERT_TRUE(app.Send(0, From(kAppA, kPeer)));
  world.Step();
  rte_pktmbuf_free_bulk(all.data(), static_cast<unsigned>(all.size()));
  EXPECT_EQ(app.drops(AppDrop::kTxNoMbuf), 1u);
  world.ExpectAccounts();
}

// ---- between two apps -----------------------------------------------------------------------------

TEST(Local, APacketToAnAppHereNeverTouchesThePort) {
  World world;
  PlayedApp& a = world.AttachRunning({.id = 0, .address = kAppA});
  PlayedApp& b = world.AttachRunning({.id = 1, .address = kAppB});
  const Bytes packet = From(kAppA, kAppB);
  ASSERT_TRUE(a.Send(0, packet));
  world.Step();
  Bytes got;
  ASSERT_TRUE(b.Receive(0, &got) || b.Receive(1, &got));
  EXPECT_EQ(got, packet);
  EXPECT_TRUE(world.port.out.empty());
  EXPECT_EQ(a.counters().local_sent.Get(), 1u);
  world.ExpectAccounts();
}

TEST(Local, KeepsTheOrderOfMoreThanABurst) {
  World world;
  PlayedApp& a = world.AttachRunning({.id = 0, .address = kAppA, .geometry = {0, 256, 1024, 512, 512, 2048}});
  PlayedApp& b =
      world.AttachRunning({.id = 1, .address = kAppB, .kthreads = 1, .geometry = {0, 512, 64, 512, 512, 2048}});
  for (uint16_t i = 0; i < 400; ++i) ASSERT_TRUE(a.Send(0, From(kAppA, kAppB, 18, i)));
  a.Park(0);
  world.Steps(2);
  Bytes got;
  for (uint16_t i = 0; i < 400; ++i) {
    ASSERT_TRUE(b.Receive(0, &got));
    ASSERT_EQ(abi::LoadBe16(got.data() + 20), i);
  }
  world.ExpectAccounts();
}

TEST(Local, TooManyAtOnceAreDroppedAndCounted) {
  World world;
  PlayedApp& a = world.AttachRunning({.id = 0, .address = kAppA, .geometry = {0, 256, 1024, 512, 512, 2048}});
  world.AttachRunning({.id = 1, .address = kAppB, .geometry = {0, 1024, 64, 1024, 1024, 2048}});
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(a.Send(0, From(kAppA, kAppB)));
  a.Park(0);  // nothing of it may stay in the ring
  world.Steps(2);
  EXPECT_GT(a.drops(AppDrop::kTxLocalFull), 0u);
  world.ExpectAccounts();
}

TEST(Local, AnAppCanTalkToItself) {
  World world;
  PlayedApp& app = world.AttachRunning({});
  ASSERT_TRUE(app.Send(0, From(kAppA, kAppA)));
  world.Step();
  EXPECT_EQ(app.ReceiveAll(), 1u);
}

TEST(Local, WakesTheAppItIsFor) {
  World world;
  PlayedApp& a = world.AttachRunning({.id = 0, .address = kAppA});
  PlayedApp& b = world.Attach({.id = 1, .address = kAppB});
  ASSERT_TRUE(a.Send(0, From(kAppA, kAppB)));
  world.Step();
  EXPECT_TRUE(b.Start(0) || b.Start(1));
}

// ---- every reason for which a packet is refused -----------------------------------------------------

struct BadPacket {
  const char* name;
  AppDrop reason;
  std::function<void(PlayedApp&)> send;
};

std::function<void(PlayedApp&)> To(uint32_t destination) {
  return [=](PlayedApp& app) { EXPECT_TRUE(app.Send(0, From(kAppA, destination))); };
}
std::function<void(PlayedApp&)> Header(const std::function<void(std::byte*)>& change, bool fix = true) {
  return [=](PlayedApp& app) {
    Bytes packet = From(kAppA, kPeer);
    change(packet.data());
    if (fix) FixIpChecksum(packet.data());
    EXPECT_TRUE(app.Send(0, packet));
  };
}
std::function<void(PlayedApp&)> Raw(abi::MessageType type, uint16_t length) {
  return [=](PlayedApp& app) { EXPECT_TRUE(app.SendRaw(0, static_cast<uint64_t>(type) | uint64_t{length} << 16)); };
}

const BadPacket kBadPackets[] = {
    {"TypeNone", AppDrop::kTxType, Raw(abi::MessageType::kNone, 46)},
    {"TypeOfTheFillRing", AppDrop::kTxType, Raw(abi::MessageType::kFillBuffer, 46)},
    {"LengthZero", AppDrop::kTxLength, Raw(abi::MessageType::kTxPacket, 0)},
    {"LengthBelowAHeader", AppDrop::kTxLength, Raw(abi::MessageType::kTxPacket, 19)},
    {"LengthAboveTheMtu", AppDrop::kTxLength, Raw(abi::MessageType::kTxPacket, 1501)},
    {"LengthHuge", AppDrop::kTxLength, Raw(abi::MessageType::kTxPacket, 65535)},
    {"Zeros", AppDrop::kTxHeader, Raw(abi::MessageType::kTxPacket, 46)},
    {"Version", AppDrop::kTxHeader, Header([](std::byte* ip) { ip[0] = std::byte{0x65}; }, false)},
    {"HeaderLength", AppDrop::kTxHeader, Header([](std::byte* ip) { ip[0] = std::byte{0x4f}; }, false)},
    {"TotalShorterThanSent", AppDrop::kTxHeader, Header([](std::byte* ip) { abi::StoreBe16(ip + 2, 40); })},
    {"TotalLongerThanSent", AppDrop::kTxHeader, Header([](std::byte* ip) { abi::StoreBe16(ip + 2, 60); })},
    {"Fragment", AppDrop::kTxHeader, Header([](std::byte* ip) { abi::StoreBe16(ip + 6, 0x2000); })},
    {"NoTimeToLive", AppDrop::kTxHeader, Header([](std::byte* ip) { ip[8] = std::byte{0}; })},
    {"Checksum", AppDrop::kTxChecksum, Header([](std::byte* ip) { ip[11] ^= std::byte{1}; }, false)},
    {"SpoofedSource", AppDrop::kTxSource, Header([](std::byte* ip) { abi::StoreBe32(ip + 12, kAppB); })},
    {"NoRoute", AppDrop::kTxNoRoute, To(Ip(8, 8, 8, 8))},
    {"ToTheIoKernel", AppDrop::kTxOwnAddress, To(kOwn)},
    {"LimitedBroadcast", AppDrop::kTxBroadcast, To(0xffffffff)},
    {"NetworkBroadcast", AppDrop::kTxBroadcast, To(Ip(10, 0, 0, 255))},
    {"NetworkItself", AppDrop::kTxBroadcast, To(Ip(10, 0, 0, 0))},
    {"Multicast", AppDrop::kTxBroadcast, To(Ip(224, 0, 0, 1))},
    {"Loopback", AppDrop::kTxBroadcast, To(Ip(127, 0, 0, 1))},
};

class TxDrop : public ::testing::TestWithParam<BadPacket> {};

TEST_P(TxDrop, IsCountedOnceByItsReasonAndTheSlotComesBack) {
  World world;
  PlayedApp& app = world.AttachRunning({});
  world.Introduce();
  GetParam().send(app);
  ASSERT_TRUE(app.Send(0, From(kAppA, kPeer)));
  world.Step();
  EXPECT_EQ(app.drops(GetParam().reason), 1u);
  EXPECT_EQ(app.all_drops(), 1u);
  EXPECT_EQ(world.port.out.size(), 1u) << "the good one behind it";
  EXPECT_EQ(app.kthreads[0].tx.Free(64), 64u);
  world.ExpectAccounts();
}

INSTANTIATE_TEST_SUITE_P(All, TxDrop, ::testing::ValuesIn(kBadPackets),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace sluice::test
