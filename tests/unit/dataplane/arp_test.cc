// ARP and the IOKernel's own echo, through the whole loop.
#include "tests/unit/dataplane/world.h"

namespace sluice::test {
namespace {

abi::ArpView ArpIn(const Bytes& frame) {
  const auto arp = abi::ParseArp(std::span(frame).subspan(abi::kEthernetHeaderBytes));
  EXPECT_TRUE(arp);
  return *arp;
}

TEST(Arp, AnswersForEveryAppAndItself) {
  World world;
  world.Attach({.id = 0, .address = kAppA});
  world.Attach({.id = 1, .address = kAppB});
  for (const uint32_t address : {kOwn, kAppA, kAppB}) {
    world.port.in.push_back(ArpRequestFor(address));
    world.Step();
    ASSERT_EQ(world.port.out.size(), 1u);
    const Bytes frame = world.port.out.front();
    EXPECT_EQ(frame.size(), abi::kEthernetHeaderBytes + abi::kArpBytes);
    EXPECT_EQ(abi::EthernetView(frame).destination(), kPeerMac);
    EXPECT_EQ(abi::EthernetView(frame).source(), kPortMac);
    const abi::ArpView arp = ArpIn(frame);
    EXPECT_EQ(arp.operation(), abi::kArpReply);
    EXPECT_EQ(arp.sender_address(), address);
    EXPECT_EQ(arp.sender_mac(), kPortMac);
    EXPECT_EQ(arp.target_address(), kPeer);
    EXPECT_EQ(arp.target_mac(), kPeerMac);
    world.port.out.clear();
  }
  EXPECT_EQ(world.loop->counters().arp_replies_sent.Get(), 3u);
  world.ExpectAccounts();
}

TEST(Arp, AnnouncesTheAddressOfANewApp) {
  World world;
  PlayedApp app({});
  ASSERT_TRUE(world.loop->Post({CommandKind::kAttach, 0, app.app.get()}));
  world.Steps(2);
  ASSERT_EQ(world.port.out.size(), 1u);
  EXPECT_EQ(abi::EthernetView(world.port.out.front()).destination(), abi::kBroadcastMac);
  const abi::ArpView arp = ArpIn(world.port.out.front());
  EXPECT_EQ(arp.sender_mac(), kPortMac);
  EXPECT_EQ(arp.sender_address(), kAppA);
  EXPECT_EQ(arp.target_address(), kAppA);
}

TEST(Arp, DoesNotAnswerForOthersNorForAnAppThatHasGone) {
  World world;
  world.Attach({.id = 0, .address = kAppA});
  world.Detach(0);
  for (const uint32_t address : {kAppA, Ip(10, 0, 0, 50)}) world.port.in.push_back(ArpRequestFor(address));
  world.Step();
  EXPECT_TRUE(world.port.out.empty());
  EXPECT_EQ(world.drops(LinkDrop::kArpIgnored), 2u);
}

TEST(Arp, AnswersWithoutAnAddressOfItsOwn) {
  World world({.own_address = false});
  world.Attach({.id = 0, .address = kAppA});
  world.port.in.push_back(ArpRequestFor(kAppA));
  world.Step();
  EXPECT_EQ(world.port.out.size(), 1u);
}

TEST(Arp, AnswersAProbeAndLearnsNothingFromIt) {
  World world;
  world.port.in.push_back(ArpRequestFor(kOwn, 0));
  world.Step();
  EXPECT_EQ(world.port.out.size(), 1u);
  EXPECT_EQ(world.loop->counters().neighbours.Get(), 0u);
}

TEST(Arp, LearnsFromAQuestionOnlyIfTheAskerIsOnTheLink) {
  World world;
  world.port.in.push_back(ArpRequestFor(kOwn, Ip(8, 8, 8, 8)));
  world.Step();
  EXPECT_EQ(world.loop->counters().neighbours.Get(), 0u);
  world.port.in.push_back(ArpRequestFor(kOwn));
  world.Step();
  EXPECT_EQ(world.loop->counters().neighbours.Get(), 1u);
}

TEST(Arp, DropsTheMalformedAndTheImpossible) {
  World world;
  world.Attach({.id = 0, .address = kAppA});
  Bytes truncated = ArpRequestFor(kOwn);
  truncated.resize(truncated.size() - 1);
  Bytes format = ArpRequestFor(kOwn);
  format[abi::kEthernetHeaderBytes + 4] = std::byte{8};  // hardware addresses of 8 bytes
  constexpr abi::MacAddress kGroup = {0x03, 0, 0, 0, 0, 1};
  world.port.in = {truncated,
                   format,
                   ArpRequestFor(kOwn, kPeer, kGroup),
                   ArpRequestFor(kOwn, kPeer, {}),
                   ArpRequestFor(kOwn, Ip(224, 0, 0, 1)),
                   ArpRequestFor(kOwn, kAppA),  // claims an address of ours
                   ArpReplyFrom(kAppA, kOwn)};
  world.Step();
  EXPECT_EQ(world.drops(LinkDrop::kArpBad), 7u);
  EXPECT_TRUE(world.port.out.empty());
  EXPECT_EQ(world.loop->counters().neighbours.Get(), 0u);
  world.ExpectAccounts();
}

TEST(Arp, IgnoresRepliesToNoQuestion) {
  World world;
  world.port.in.push_back(ArpReplyFrom(kPeer));
  world.Step();
  EXPECT_EQ(world.drops(LinkDrop::kArpIgnored), 1u);
  EXPECT_EQ(world.loop->counters().neighbours.Get(), 0u);
}

Bytes EchoRequest(uint32_t to, uint16_t payload_bytes) {
  Bytes packet(abi::kIpv4HeaderBytes + abi::kIcmpHeaderBytes + payload_bytes, std::byte{0x5a});
  abi::WriteIcmpEcho(packet.data() + 20, {abi::kIcmpEchoRequest, 7, 9, payload_bytes});
  abi::WriteIpv4(packet.data(),
                 {kPeer, to, static_cast<uint16_t>(abi::kIcmpHeaderBytes + payload_bytes), 0, abi::kProtocolIcmp});
  return Framed(packet);
}

TEST(OwnAddress, AnswersAPing) {
  World world;
  world.port.in.push_back(EchoRequest(kOwn, 56));
  world.Step();
  ASSERT_EQ(world.port.out.size(), 1u);
  const Bytes frame = world.port.out.front();
  const auto ip = abi::ParseIpv4(std::span(frame).subspan(abi::kEthernetHeaderBytes));
  ASSERT_TRUE(ip);
  EXPECT_TRUE(abi::Ipv4ChecksumGood(*ip));
  EXPECT_EQ(ip->source(), kOwn);
  EXPECT_EQ(ip->destination(), kPeer);
  const auto echo = abi::ParseIcmpEcho(ip->payload());
  ASSERT_TRUE(echo);
  EXPECT_TRUE(abi::IcmpChecksumGood(*echo));
  EXPECT_EQ(echo->type(), abi::kIcmpEchoReply);
  EXPECT_EQ(echo->id(), 7);
  EXPECT_EQ(echo->sequence(), 9);
  EXPECT_EQ(echo->payload().size(), 56u);
  EXPECT_EQ(echo->payload()[55], std::byte{0x5a});
  world.ExpectAccounts();
}

TEST(OwnAddress, DropsEverythingElse) {
  World world;
  Bytes broken = EchoRequest(kOwn, 56);
  broken.back() ^= std::byte{1};
  world.port.in = {UdpFrame({.destination = kOwn}), broken};
  world.Step();
  EXPECT_EQ(world.drops(LinkDrop::kEchoBad), 2u);
  EXPECT_TRUE(world.port.out.empty());
  world.ExpectAccounts();
}

}  // namespace
}  // namespace sluice::test
