#include "tests/bench/dataplane/memif_socket.h"

#include <rte_mbuf.h>
#include <sched.h>

#include "iokernel/abi/wire.h"

namespace sluice::bench {
namespace {

using apps::Clock;
using apps::TransportError;

constexpr uint16_t kPort = 40'000;
constexpr std::chrono::seconds kLinkTimeout{10};
constexpr std::chrono::milliseconds kArpRetry{100};
constexpr size_t kHeaders = abi::kEthernetHeaderBytes + abi::kIpv4HeaderBytes + abi::kUdpHeaderBytes;

std::span<const std::byte> Bytes(const rte_mbuf* frame) {
  return {rte_pktmbuf_mtod(frame, const std::byte*), frame->data_len};
}

// A frame with room for `bytes`, or null when the pool is empty.
rte_mbuf* NewFrame(rte_mempool* pool, size_t bytes) {
  rte_mbuf* frame = rte_pktmbuf_alloc(pool);
  if (frame != nullptr && rte_pktmbuf_append(frame, static_cast<uint16_t>(bytes)) != nullptr) return frame;
  rte_pktmbuf_free(frame);
  return nullptr;
}

}  // namespace

tl::expected<std::unique_ptr<MemifSocket>, std::string> MemifSocket::Open(const std::string& path, uint32_t address) {
  PortOptions options;
  options.config = {PortKind::kMemif, "memif:" + path, "role=client,id=0,socket=" + path};
  options.unique = "client";
  auto port = OpenPort(options);
  if (!port) return tl::unexpected(port.error());
  const auto deadline = Clock::now() + kLinkTimeout;
  while (!(*port)->link_up()) {
    if (Clock::now() > deadline) return tl::unexpected("nobody serves the memif at " + path);
    sched_yield();
  }
  return std::unique_ptr<MemifSocket>(new MemifSocket(std::move(*port), address));
}

MemifSocket::~MemifSocket() {
  while (next_ < count_) rte_pktmbuf_free(burst_[next_++]);
}

tl::expected<void, std::string> MemifSocket::Resolve(uint32_t address) {
  peer_ = address;
  peer_mac_.reset();
  std::array<std::byte, apps::kMaxDatagram> nothing;
  for (int i = 0; i < 50 && !peer_mac_; ++i) {
    SendArp(abi::kArpRequest, abi::kBroadcastMac, address);
    for (const auto retry = Clock::now() + kArpRetry; !peer_mac_ && Clock::now() < retry;) {
      static_cast<void>(Receive(nothing, Clock::now()));
      sched_yield();
    }
  }
  if (!peer_mac_) return tl::unexpected(std::string("no answer to ARP"));
  return {};
}

tl::expected<apps::Received, TransportError> MemifSocket::Receive(std::span<std::byte> buffer,
                                                                  Clock::time_point deadline) {
  for (;;) {
    rte_mbuf* frame = Next();
    if (frame == nullptr) {
      if (Clock::now() >= deadline) return tl::unexpected(TransportError::kTimedOut);
      sched_yield();
      continue;
    }
    const auto ethernet = abi::ParseEthernet(Bytes(frame));
    std::optional<apps::Received> received;
    if (ethernet && ethernet->ether_type() == abi::kEtherTypeArp) OnArp(ethernet->payload());
    if (ethernet && ethernet->ether_type() == abi::kEtherTypeIpv4) received = OnIp(ethernet->payload(), buffer);
    rte_pktmbuf_free(frame);
    if (received) return *received;
  }
}

tl::expected<void, TransportError> MemifSocket::Send(std::span<const std::byte> bytes, const apps::Endpoint& to) {
  if (!peer_mac_ || to.address != peer_) return tl::unexpected(TransportError::kOther);
  rte_mbuf* frame = NewFrame(port_->pool(), kHeaders + bytes.size());
  if (frame == nullptr) return tl::unexpected(TransportError::kFull);
  const auto size = static_cast<uint16_t>(bytes.size());
  auto* at = rte_pktmbuf_mtod(frame, std::byte*);
  abi::WriteEthernet(at, *peer_mac_, port_->info().mac, abi::kEtherTypeIpv4);
  at += abi::kEthernetHeaderBytes;
  abi::Ipv4Fields ip;
  ip.source = address_;
  ip.destination = to.address;
  ip.payload_bytes = static_cast<uint16_t>(abi::kUdpHeaderBytes + size);
  ip.protocol = abi::kProtocolUdp;
  abi::WriteIpv4(at, ip);
  at += abi::kIpv4HeaderBytes;
  std::memcpy(at + abi::kUdpHeaderBytes, bytes.data(), bytes.size());
  abi::WriteUdp(at, {address_, to.address, kPort, to.port, size});
  if (!Transmit(frame)) return tl::unexpected(TransportError::kFull);
  return {};
}

rte_mbuf* MemifSocket::Next() {
  if (next_ == count_) {
    next_ = 0;
    count_ = port_->RxBurst(burst_.data(), static_cast<uint16_t>(burst_.size()));
  }
  return next_ < count_ ? burst_[next_++] : nullptr;
}

std::optional<apps::Received> MemifSocket::OnIp(std::span<const std::byte> packet, std::span<std::byte> buffer) const {
  const auto ip = abi::ParseIpv4(packet);
  if (!ip || ip->destination() != address_ || ip->protocol() != abi::kProtocolUdp) return {};
  const auto udp = abi::ParseUdp(ip->payload());
  if (!udp || udp->destination_port() != kPort) return {};
  const size_t bytes = std::min(buffer.size(), udp->payload().size());
  std::memcpy(buffer.data(), udp->payload().data(), bytes);
  return apps::Received{bytes, {ip->source(), udp->source_port()}};
}

void MemifSocket::OnArp(std::span<const std::byte> packet) {
  const auto arp = abi::ParseArp(packet);
  if (!arp || arp->target_address() != address_) return;
  if (arp->operation() == abi::kArpRequest) SendArp(abi::kArpReply, arp->sender_mac(), arp->sender_address());
  if (arp->operation() == abi::kArpReply && arp->sender_address() == peer_) peer_mac_ = arp->sender_mac();
}

void MemifSocket::SendArp(uint16_t operation, const abi::MacAddress& to, uint32_t target) {
  rte_mbuf* frame = NewFrame(port_->pool(), abi::kEthernetMinFrameBytes);
  if (frame == nullptr) return;
  auto* at = rte_pktmbuf_mtod(frame, std::byte*);
  std::memset(at, 0, abi::kEthernetMinFrameBytes);
  abi::WriteEthernet(at, to, port_->info().mac, abi::kEtherTypeArp);
  abi::WriteArp(at + abi::kEthernetHeaderBytes, {operation, port_->info().mac, address_, to, target});
  static_cast<void>(Transmit(frame));
}

bool MemifSocket::Transmit(rte_mbuf* frame) {
  if (port_->TxBurst(&frame, 1) == 1) return true;
  rte_pktmbuf_free(frame);
  return false;
}

}  // namespace sluice::bench
