// ip.cc - the way in: from the receive ring's messages to ICMP and UDP. See stack.h.
//
// Every packet that is not delivered is counted by its reason, in the counters of the kthread that looked at it.
#include "iokernel/abi/message.h"
#include "iokernel/abi/wire.h"
#include "runtime/net/icmp.h"
#include "runtime/net/stack.h"
#include "runtime/net/udp_ports.h"
#include "runtime/sched/scheduler.h"

namespace sluice::net {
namespace {

// Why a packet is dropped whose header or length is wrong.
std::atomic<uint64_t>& CounterOf(abi::RuntimeCounters& counters, abi::WireFault fault) {
  return fault == abi::WireFault::kFragment ? counters.drop_fragment : counters.drop_malformed;
}

// True if somebody keeps the buffer now.
bool OnUdp(sched::Kthread& executing, uint32_t ring_kthread, const abi::RxPacket& packet, const abi::Ipv4View& ip) {
  abi::RuntimeCounters& counters = executing.counters();
  const auto udp = abi::ParseUdp(ip.payload());
  if (!udp) {
    Bump(CounterOf(counters, udp.fault));
    return false;
  }
  if ((packet.flags & abi::kRxL4ChecksumGood) == 0 && !abi::UdpChecksumGood(ip, *udp)) {
    Bump(counters.drop_checksum);
    return false;
  }
  Arrival arrival;
  arrival.payload = udp->payload();
  arrival.source = {ip.source(), udp->source_port()};
  arrival.port = udp->destination_port();
  arrival.steered_kthread = static_cast<uint16_t>(ring_kthread);
  arrival.buffer = packet.buffer;
  arrival.flow_hash = packet.hash;
  switch (DeliverToPort(executing, arrival)) {
    case Delivered::kTaken:
      return true;
    case Delivered::kQueueFull:
      Bump(counters.drop_queue_full);
      return false;
    case Delivered::kNoSocket:
      Bump(counters.drop_no_socket);
      SendUnreachable(executing, ip, UnreachableCode::kPort);
      return false;
  }
  return false;
}

bool OnPacket(sched::Kthread& executing, uint32_t ring_kthread, const abi::RxPacket& packet) {
  abi::RuntimeCounters& counters = executing.counters();
  const io::RegionView& region = TheStack().region;
  if (packet.length > region.layout.geometry().buffer_size) {
    Bump(counters.drop_malformed);
    return false;
  }
  const auto ip = abi::ParseIpv4({region.RxBuffer(packet.buffer), packet.length});
  if (!ip) {
    Bump(CounterOf(counters, ip.fault));
    return false;
  }
  if (!abi::Ipv4ChecksumGood(*ip)) {
    Bump(counters.drop_checksum);
    return false;
  }
  switch (ip->protocol()) {
    case abi::kProtocolUdp:
      return OnUdp(executing, ring_kthread, packet, *ip);
    case abi::kProtocolIcmp:
      OnIcmp(executing, *ip);
      return false;
    default:
      Bump(counters.drop_protocol);
      SendUnreachable(executing, *ip, UnreachableCode::kProtocol);
      return false;
  }
}

}  // namespace

void OnPackets(sched::Kthread& executing, uint32_t ring_kthread, std::span<const abi::LrpcMessage> messages) {
  const io::RegionView& region = TheStack().region;
  const uint32_t buffers = region.layout.geometry().rx_buffers;
  for (size_t i = 0; i < messages.size(); ++i) {
    if (i + 1 < messages.size()) {
      const uint32_t next = abi::DecodeRx(messages[i + 1]).buffer;
      if (next < buffers) __builtin_prefetch(region.RxBuffer(next));
    }
    const abi::RxPacket packet = abi::DecodeRx(messages[i]);
    // An IOKernel of another build; without a buffer there is nothing to give back.
    if (abi::TypeOf(messages[i]) != abi::MessageType::kRxPacket || packet.buffer >= buffers) {
      Bump(executing.counters().drop_malformed);
      continue;
    }
    if (!OnPacket(executing, ring_kthread, packet)) sched::ReturnBuffer(packet.buffer);
  }
}

}  // namespace sluice::net
