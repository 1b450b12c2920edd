// The way in: delivery, and every reason for a drop, once.
#include <functional>

#include "tests/unit/dataplane/world.h"

namespace sluice::test {
namespace {

constexpr size_t kIp = abi::kEthernetHeaderBytes;

TEST(Rx, ThePacketArrivesAsItWasSentWithoutTheEthernetHeader) {
  World world;
  PlayedApp& app = world.AttachRunning({});
  for (uint16_t payload = 0; payload <= 1472; payload += payload < 300 ? 1 : 97) {
    const UdpSpec spec{.payload_bytes = payload};
    Bytes frame = UdpFrame(spec);
    if (frame.size() < abi::kEthernetMinFrameBytes) frame.resize(abi::kEthernetMinFrameBytes);  // padded by the link
    world.port.in.push_back(frame);
    world.Step();
    Bytes packet;
    ASSERT_TRUE(app.Receive(0, &packet) || app.Receive(1, &packet));
    ASSERT_EQ(packet, UdpPacket(spec));
  }
  EXPECT_EQ(app.all_drops(), 0u);
  world.ExpectAccounts();
}

TEST(Rx, NothingBeyondThePacketIsShownToTheApp) {
  World world;
  PlayedApp& app = world.AttachRunning({});
  for (uint32_t b = 0; b < app.region.layout.geometry().rx_buffers; ++b) {
    std::memset(app.region.RxBuffer(b), 0xee, app.region.layout.geometry().buffer_size);
  }
  for (uint16_t payload = 0; payload < 200; ++payload) {
    Bytes frame = UdpFrame({.payload_bytes = payload});
    frame.resize(frame.size() + 64, std::byte{0x77});  // what another app's packet may have left
    world.port.in.push_back(frame);
    world.Step();
    abi::LrpcMessage message;
    ASSERT_TRUE(app.kthreads[0].rx.Receive(&message) || app.kthreads[1].rx.Receive(&message));
    const abi::RxPacket rx = abi::DecodeRx(message);
    for (uint32_t at = rx.length; at < rx.length + 64u; ++at) {
      ASSERT_EQ(app.region.RxBuffer(rx.buffer)[at], std::byte{0xee}) << payload;
    }
  }
}

TEST(Rx, CarriesTheToeplitzHashOfTheFlow) {
  World world;
  PlayedApp& app = world.AttachRunning({});
  world.port.in.push_back(UdpFrame());
  world.Step();
  abi::LrpcMessage message;
  ASSERT_TRUE(app.kthreads[0].rx.Receive(&message) || app.kthreads[1].rx.Receive(&message));
  EXPECT_EQ(abi::DecodeRx(message).hash, abi::ToeplitzTable().Hash(kPeer, kAppA, 1000, 2000));
  EXPECT_EQ(abi::DecodeRx(message).flags, 0);
}

TEST(Rx, ABurstForSeveralAppsReachesEachInOrder) {
  World world;
  PlayedApp& a = world.AttachRunning({.id = 0, .address = kAppA, .kthreads = 1});
  PlayedApp& b = world.AttachRunning({.id = 1, .address = kAppB, .kthreads = 1});
  for (uint16_t i = 0; i < 48; ++i) {
    world.port.in.push_back(UdpFrame({.destination = i % 3 == 0 ? kAppA : kAppB, .source_port = i}));
  }
  world.Step();
  Bytes packet;
  for (uint16_t i = 0; i < 48; ++i) {
    ASSERT_TRUE((i % 3 == 0 ? a : b).Receive(0, &packet));
    EXPECT_EQ(abi::LoadBe16(packet.data() + 20), i);
  }
  world.ExpectAccounts();
}

TEST(Rx, AParkedAppIsWokenByAPacketThatWaitsForIt) {
  World world;
  PlayedApp& app = world.Attach({});
  EXPECT_FALSE(app.Start(0) || app.Start(1));
  world.port.in.push_back(UdpFrame());
  world.Step();
  const bool first = app.Start(0);
  ASSERT_TRUE(first || app.Start(1));
  EXPECT_TRUE(app.Receive(first ? 0 : 1)) << "the kthread that is woken finds the packet in its own ring";
}

TEST(Rx, TheBufferQuotaIsTheAppsOwn) {
  World world;
  PlayedApp& hoarder = world.AttachRunning({.id = 0, .address = kAppA, .geometry = {0, 1024, 64, 256, 256, 2048}});
  PlayedApp& other = world.AttachRunning({.id = 1, .address = kAppB});
  for (int i = 0; i < 400; ++i) {
    world.port.in.push_back(UdpFrame({.destination = kAppA}));
    world.port.in.push_back(UdpFrame({.destination = kAppB}));
    world.Step();
    hoarder.ReceiveAll(false);
    EXPECT_EQ(other.ReceiveAll(), 1u);
  }
  EXPECT_EQ(hoarder.kept.size(), 256u);
  EXPECT_EQ(hoarder.drops(AppDrop::kRxNoBuffer), 400u - 256u);
  EXPECT_EQ(other.all_drops(), 0u);
  // What it gives back it can have again.
  for (const uint32_t buffer : hoarder.kept) {
    EXPECT_TRUE(hoarder.kthreads[0].fill.Send(abi::EncodeFill(buffer).command, buffer));
  }
  world.port.in.push_back(UdpFrame({.destination = kAppA}));
  world.Step();
  EXPECT_EQ(hoarder.ReceiveAll(), 1u);
  world.ExpectAccounts();
}

TEST(Rx, AFullRingCostsThePacketNotTheBuffer) {
  World world;
  PlayedApp& app = world.AttachRunning({.kthreads = 1});
  for (int i = 0; i < 100; ++i) world.port.in.push_back(UdpFrame());
  world.Steps(4);
  EXPECT_EQ(app.drops(AppDrop::kRxRingFull), 100u - 64u);
  EXPECT_EQ(app.ReceiveAll(), 64u);
  // All of its buffers are still there: as many as it has come through again.
  for (int i = 0; i < 512; ++i) {
    world.port.in.push_back(UdpFrame());
    world.Step();
    EXPECT_EQ(app.ReceiveAll(), 1u);
  }
  EXPECT_EQ(app.drops(AppDrop::kRxNoBuffer), 0u);
  world.ExpectAccounts();
}

TEST(Rx, APacketLongerThanTheAppsMtuIsDropped) {
  World world;
  PlayedApp& app = world.AttachRunning({});
  world.port.in.push_back(UdpFrame({.payload_bytes = 1473}));
  world.Step();
  EXPECT_EQ(app.drops(AppDrop::kRxTooLong), 1u);
  EXPECT_EQ(app.ReceiveAll(), 0u);
  world.ExpectAccounts();
}

// The ring's head used to be written back each quarter only, so that the last of all buffers found no room.
TEST(Rx, AnAppCanAlwaysReturnEveryBufferOnOneRing) {
  World world;
  PlayedApp& app = world.AttachRunning({.geometry = {0, 1024, 64, 256, 256, 2048}});
  for (uint32_t shift = 0; shift < 70; ++shift) {
    for (int i = 0; i < 256; ++i) world.port.in.push_back(UdpFrame());
    world.Steps(5);
    app.ReceiveAll(false);
    ASSERT_EQ(app.kept.size(), 256u);
    for (const uint32_t buffer : app.kept) {
      ASSERT_TRUE(app.kthreads[0].fill.Send(abi::EncodeFill(buffer).command, buffer));
    }
    app.kept.clear();
    world.port.in.push_back(UdpFrame());
    world.Step();
    ASSERT_EQ(app.ReceiveAll(), 1u);
  }
}

TEST(Rx, FillMessagesAreChecked) {
  World world;
  PlayedApp& app = world.AttachRunning({});
  auto& fill = app.kthreads[0].fill;
  const auto back = static_cast<uint64_t>(abi::MessageType::kFillBuffer);
  EXPECT_TRUE(fill.Send(back, 256));                                              // no such buffer
  EXPECT_TRUE(fill.Send(back, uint64_t{1} << 32));                                // truncated it would be buffer 0
  EXPECT_TRUE(fill.Send(back, 7));                                                // has never been given out
  EXPECT_TRUE(fill.Send(static_cast<uint64_t>(abi::MessageType::kTxPacket), 7));  // not of this ring
  app.Park(0);
  world.Steps(2);
  EXPECT_EQ(app.drops(AppDrop::kFillIndex), 2u);
  EXPECT_EQ(app.drops(AppDrop::kFillDouble), 1u);
  EXPECT_EQ(app.drops(AppDrop::kFillType), 1u);
}

// ---- every reason for which a frame reaches no app ------------------------------------------------

struct BadFrame {
  const char* name;
  LinkDrop reason;
  std::function<Bytes()> make;
};

// A good frame with its IP header changed, the checksum right again.
Bytes Changed(const std::function<void(std::byte*)>& change) {
  Bytes frame = UdpFrame();
  change(frame.data() + kIp);
  FixIpChecksum(frame.data() + kIp);
  return frame;
}
Bytes OfType(uint16_t type) { return Framed(UdpPacket(), type); }
Bytes Cut(size_t bytes) {
  Bytes frame = UdpFrame();
  frame.resize(bytes);
  return frame;
}

const BadFrame kBadFrames[] = {
    {"Empty", LinkDrop::kRunt, [] { return Cut(0); }},
    {"CutInEthernet", LinkDrop::kRunt, [] { return Cut(13); }},
    {"CutInIp", LinkDrop::kRunt, [] { return Cut(kIp + 19); }},
    {"CutInPayload", LinkDrop::kIpLength, [] { return Cut(kIp + 40); }},
    {"OtherMac", LinkDrop::kNotOurs, [] { return Framed(UdpPacket(), abi::kEtherTypeIpv4, kPeerMac); }},
    {"IpByBroadcast", LinkDrop::kNotOurs, [] { return Framed(UdpPacket(), abi::kEtherTypeIpv4, abi::kBroadcastMac); }},
    {"Vlan", LinkDrop::kVlan, [] { return OfType(abi::kEtherTypeVlan); }},
    {"ServiceVlan", LinkDrop::kVlan, [] { return OfType(abi::kEtherTypeServiceVlan); }},
    {"Ipv6", LinkDrop::kIpv6, [] { return OfType(abi::kEtherTypeIpv6); }},
    {"Lldp", LinkDrop::kEtherType, [] { return OfType(0x88cc); }},
    {"Version", LinkDrop::kIpVersion, [] { return Changed([](std::byte* ip) { ip[0] = std::byte{0x65}; }); }},
    {"HeaderTooShort", LinkDrop::kIpHeaderLength,
     [] { return Changed([](std::byte* ip) { ip[0] = std::byte{0x44}; }); }},
    {"HeaderBeyondPacket", LinkDrop::kIpHeaderLength,
     [] {
       Bytes frame = Cut(kIp + 24);
       frame[kIp] = std::byte{0x4f};
       return frame;
     }},
    {"LengthBelowHeader", LinkDrop::kIpLength,
     [] { return Changed([](std::byte* ip) { abi::StoreBe16(ip + 2, 19); }); }},
    {"LengthBeyondFrame", LinkDrop::kIpLength,
     [] { return Changed([](std::byte* ip) { abi::StoreBe16(ip + 2, 65535); }); }},
    {"Checksum", LinkDrop::kIpChecksum,
     [] {
       Bytes frame = UdpFrame();
       frame[kIp + 11] ^= std::byte{1};
       return frame;
     }},
    {"FirstFragment", LinkDrop::kFragment,
     [] { return Changed([](std::byte* ip) { abi::StoreBe16(ip + 6, 0x2000); }); }},
    {"LastFragment", LinkDrop::kFragment, [] { return Changed([](std::byte* ip) { abi::StoreBe16(ip + 6, 185); }); }},
    {"FromMulticast", LinkDrop::kBadSource, [] { return UdpFrame({.source = Ip(224, 0, 0, 5)}); }},
    {"FromLoopback", LinkDrop::kBadSource, [] { return UdpFrame({.source = Ip(127, 0, 0, 1)}); }},
    {"FromNowhere", LinkDrop::kBadSource, [] { return UdpFrame({.source = 0}); }},
    {"FromItsOwnDestination", LinkDrop::kBadSource, [] { return UdpFrame({.source = kAppA}); }},
    {"ToNobody", LinkDrop::kNoApp, [] { return UdpFrame({.destination = Ip(10, 0, 0, 77)}); }},
    {"ToMulticast", LinkDrop::kNoApp, [] { return UdpFrame({.destination = Ip(224, 0, 0, 251)}); }},
};

class RxDrop : public ::testing::TestWithParam<BadFrame> {};

TEST_P(RxDrop, IsCountedOnceByItsReason) {
  World world;
  PlayedApp& app = world.AttachRunning({});
  world.port.in.push_back(GetParam().make());
  world.port.in.push_back(UdpFrame());
  world.Step();
  EXPECT_EQ(world.drops(GetParam().reason), 1u);
  EXPECT_EQ(world.all_link_drops(), 1u);
  EXPECT_EQ(app.ReceiveAll(), 1u) << "the good one behind it";
  world.ExpectAccounts();
}

INSTANTIATE_TEST_SUITE_P(All, RxDrop, ::testing::ValuesIn(kBadFrames),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(Rx, AFrameInSeveralPiecesIsDropped) {
  World world;
  world.port.segmented = true;
  world.port.in.push_back(UdpFrame());
  world.Step();
  EXPECT_EQ(world.drops(LinkDrop::kSegmented), 1u);
  world.ExpectAccounts();
}

}  // namespace
}  // namespace sluice::test
