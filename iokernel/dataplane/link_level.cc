#include "iokernel/dataplane/link_level.h"

#include <rte_mbuf.h>

namespace sluice {
namespace {

std::byte* Bytes(rte_mbuf* frame) { return rte_pktmbuf_mtod(frame, std::byte*); }

std::span<const std::byte> Payload(rte_mbuf* frame) {
  return {Bytes(frame) + abi::kEthernetHeaderBytes, rte_pktmbuf_data_len(frame) - abi::kEthernetHeaderBytes};
}

bool IsHostMac(const abi::MacAddress& mac) { return (mac[0] & 1) == 0 && mac != abi::MacAddress{}; }

}  // namespace

LinkLevel::LinkLevel(const LinkOptions& options, abi::TickRate rate, Port& port, PortOut& out, AppTable& apps,
                     LoopCounters& counters)
    : options_(options),
      port_(port),
      out_(out),
      apps_(apps),
      counters_(counters),
      routes_(options),
      neighbours_(options, rate, *this, counters) {}

LinkLevel::~LinkLevel() {
  for (AppId app = 0; app < kMaxApps; ++app) neighbours_.ForgetApp(app);
}

bool LinkLevel::OnLink(uint32_t address, uint32_t ours) const {
  if (options_.address && options_.address->Contains(address)) return true;
  const AppState* app = apps_.Get(apps_.FindAddress(ours));
  return app != nullptr && app->net.Contains(address);
}

bool LinkLevel::OnArp(rte_mbuf* frame, Ticks now) {
  const auto arp = abi::ParseArp(Payload(frame));
  const auto drop = [&](LinkDrop reason) {
    counters_.drops.Add(reason);
    return false;
  };
  if (!arp || !IsHostMac(arp->sender_mac())) return drop(LinkDrop::kArpBad);
  const uint32_t sender = arp->sender_address();
  const uint32_t target = arp->target_address();
  // RFC 5227: a probe has no sender address yet; it is answered and nothing is learnt from it.
  if (sender != 0 && !abi::IsUnicastAddress(sender)) return drop(LinkDrop::kArpBad);
  // Somebody else claims an address of ours. We stay where we are and believe nothing.
  if (sender != 0 && apps_.FindAddress(sender) != kNoApp) return drop(LinkDrop::kArpBad);

  if (arp->operation() == abi::kArpRequest && apps_.FindAddress(target) != kNoApp) {
    if (sender != 0 && OnLink(sender, target)) neighbours_.OnRequest(sender, arp->sender_mac(), now);
    counters_.arp_packets.Add();
    return AnswerArp(frame, *arp);
  }
  if (arp->operation() == abi::kArpReply && neighbours_.OnReply(sender, arp->sender_mac(), now)) {
    counters_.arp_packets.Add();
    return false;
  }
  if (sender == target) neighbours_.OnAnnouncement(sender, arp->sender_mac(), now);
  return drop(LinkDrop::kArpIgnored);
}

bool LinkLevel::AnswerArp(rte_mbuf* frame, const abi::ArpView& arp) {
  const abi::ArpFields answer{abi::kArpReply, port_.info().mac, arp.target_address(), arp.sender_mac(),
                              arp.sender_address()};
  abi::WriteEthernet(Bytes(frame), answer.target_mac, answer.sender_mac, abi::kEtherTypeArp);
  abi::WriteArp(Bytes(frame) + abi::kEthernetHeaderBytes, answer);
  // What followed the question is not ours to send.
  frame->data_len = frame->pkt_len = abi::kEthernetHeaderBytes + abi::kArpBytes;
  frame->ol_flags = 0;
  if (!out_.Push(frame)) return false;
  counters_.arp_replies_sent.Add();
  return true;
}

bool LinkLevel::OnOwnPacket(rte_mbuf* frame, const abi::Ipv4View& ip) {
  const auto echo = abi::ParseIcmpEcho(ip.payload());
  const size_t payload_bytes = ip.payload().size();
  if (ip.protocol() != abi::kProtocolIcmp || !echo || echo->type() != abi::kIcmpEchoRequest ||
      !abi::IcmpChecksumGood(*echo) || ip.header_bytes() != abi::kIpv4HeaderBytes) {
    counters_.drops.Add(LinkDrop::kEchoBad);
    return false;
  }
  counters_.echo_packets.Add();
  std::byte* const ethernet = Bytes(frame);
  std::byte* const packet = ethernet + abi::kEthernetHeaderBytes;
  const abi::MacAddress sender = abi::EthernetView({ethernet, abi::kEthernetHeaderBytes}).source();
  const abi::IcmpEchoFields answer{abi::kIcmpEchoReply, echo->id(), echo->sequence(),
                                   static_cast<uint16_t>(payload_bytes - abi::kIcmpHeaderBytes)};
  abi::WriteIcmpEcho(packet + abi::kIpv4HeaderBytes, answer);
  abi::WriteIpv4(packet, {ip.destination(), ip.source(), static_cast<uint16_t>(payload_bytes), 0, abi::kProtocolIcmp});
  abi::WriteEthernet(ethernet, sender, port_.info().mac, abi::kEtherTypeIpv4);
  frame->data_len = frame->pkt_len =
      static_cast<uint16_t>(abi::kEthernetHeaderBytes + abi::kIpv4HeaderBytes + payload_bytes);
  frame->ol_flags = 0;
  return out_.Push(frame);
}

void LinkLevel::Send(AppState& app, rte_mbuf* frame, uint32_t destination, Ticks now) {
  const auto drop = [&](AppDrop reason) {
    app.counters.drops.Add(reason);
    rte_pktmbuf_free(frame);
  };
  if (!abi::IsUnicastAddress(destination)) return drop(AppDrop::kTxBroadcast);
  if (RouteTable::IsNoHost(destination, app.net)) return drop(AppDrop::kTxBroadcast);
  const auto hop = routes_.NextHop(destination, app.net);
  if (!hop) return drop(AppDrop::kTxNoRoute);
  if (const abi::MacAddress* mac = neighbours_.Find(*hop, app.params.address, now)) return Out(app, frame, *mac);
  switch (neighbours_.Wait(*hop, app.params.address, frame, app.params.id, now)) {
    case NeighbourTable::WaitResult::kWaiting:
      return app.counters.tx_waiting.Add();
    case NeighbourTable::WaitResult::kFull:
      return drop(AppDrop::kTxNeighbourFull);
    case NeighbourTable::WaitResult::kUnreachable:
      return drop(AppDrop::kTxUnresolved);
  }
}

void LinkLevel::Out(AppState& app, rte_mbuf* frame, const abi::MacAddress& mac) {
  abi::WriteEthernet(Bytes(frame), mac, port_.info().mac, abi::kEtherTypeIpv4);
  const uint32_t bytes = frame->pkt_len - abi::kEthernetHeaderBytes;
  if (!out_.Push(frame)) {
    app.counters.drops.Add(AppDrop::kTxPortFull);
    rte_pktmbuf_free(frame);
    return;
  }
  app.counters.tx_packets.Add();
  app.counters.tx_bytes.Add(bytes);
}

void LinkLevel::SendArpRequest(uint32_t target, uint32_t asker, const abi::MacAddress* to) {
  // In our own name where we have one on that network, else in that of the app, if it is still here.
  const bool own = options_.address && options_.address->Contains(target);
  const uint32_t sender = own ? options_.address->address : asker;
  if (apps_.FindAddress(sender) == kNoApp) return;
  // Where it finds no room it is asked again.
  if (SendArp(to == nullptr ? abi::kBroadcastMac : *to, {abi::kArpRequest, {}, sender, {}, target})) {
    counters_.arp_requests_sent.Add();
  }
}

bool LinkLevel::SendArp(const abi::MacAddress& to, abi::ArpFields fields) {
  rte_mbuf* frame = rte_pktmbuf_alloc(port_.pool());
  if (frame == nullptr) return false;
  fields.sender_mac = port_.info().mac;
  abi::WriteEthernet(Bytes(frame), to, fields.sender_mac, abi::kEtherTypeArp);
  abi::WriteArp(Bytes(frame) + abi::kEthernetHeaderBytes, fields);
  frame->data_len = frame->pkt_len = abi::kEthernetHeaderBytes + abi::kArpBytes;
  if (out_.Push(frame)) return true;
  rte_pktmbuf_free(frame);
  return false;
}

void LinkLevel::SendWaiting(rte_mbuf* frame, AppId id, const abi::MacAddress& mac) {
  AppState* app = apps_.Get(id);
  if (app == nullptr) return rte_pktmbuf_free(frame);
  app->counters.tx_waiting.Sub();
  Out(*app, frame, mac);
}

void LinkLevel::DropWaiting(rte_mbuf* frame, AppId id) {
  rte_pktmbuf_free(frame);
  if (AppState* app = apps_.Get(id)) {
    app->counters.tx_waiting.Sub();
    app->counters.drops.Add(AppDrop::kTxUnresolved);
  }
}

}  // namespace sluice
