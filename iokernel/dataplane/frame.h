// frame.h - what an arriving frame is: an IPv4 packet for somebody here, ARP, or a drop with its reason.
//
// Pure: bytes in, verdict out; no state, no DPDK, so that it can be fuzzed alone.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>

#include "iokernel/abi/toeplitz.h"
#include "iokernel/abi/wire.h"
#include "iokernel/dataplane/counters.h"

namespace sluice {

enum class FrameKind : uint8_t { kIpv4, kArp, kDrop };

struct FrameVerdict {
  FrameKind kind = FrameKind::kDrop;
  LinkDrop drop = LinkDrop::kRunt;
  abi::Ipv4View ip;  // kIpv4: checked, checksum included
};

// A MAC as the six low bytes of a word, which compares in one instruction.
inline uint64_t MacWord(const std::byte* at) {
  uint64_t word = 0;
  std::memcpy(&word, at, 6);
  return word;
}

// Judges a frame that came to the port whose MAC is `ours`. checksum_checked: the port has found the IP header
// checksum good.
inline FrameVerdict JudgeFrame(std::span<const std::byte> frame, uint64_t ours, bool checksum_checked);

// The hash that steering uses: Toeplitz over addresses and, for UDP and TCP, ports.
inline uint32_t FlowHash(const abi::ToeplitzTable& toeplitz, const abi::Ipv4View& ip) {
  const abi::FlowTuple flow = abi::FlowOf(ip);
  return flow.has_ports ? toeplitz.Hash(flow.source, flow.destination, flow.source_port, flow.destination_port)
                        : toeplitz.Hash(flow.source, flow.destination);
}

// ---------------------------------------------------------------------------------------------------

constexpr LinkDrop DropOf(abi::WireFault fault) {
  switch (fault) {
    case abi::WireFault::kVersion:
      return LinkDrop::kIpVersion;
    case abi::WireFault::kHeaderLength:
      return LinkDrop::kIpHeaderLength;
    case abi::WireFault::kTotalLength:
      return LinkDrop::kIpLength;
    case abi::WireFault::kFragment:
      return LinkDrop::kFragment;
    default:
      return LinkDrop::kRunt;
  }
}

inline FrameVerdict JudgeFrame(std::span<const std::byte> frame, uint64_t ours, bool checksum_checked) {
  FrameVerdict verdict;
  const auto drop = [&](LinkDrop reason) {
    verdict.drop = reason;
    return verdict;
  };
  if (frame.size() < abi::kEthernetHeaderBytes) [[unlikely]]
    return drop(LinkDrop::kRunt);
  const bool to_us = MacWord(frame.data()) == ours;
  const uint16_t type = abi::LoadBe16(frame.data() + 12);
  if (type != abi::kEtherTypeIpv4) [[unlikely]] {
    const bool broadcast = MacWord(frame.data()) == 0xffff'ffff'ffff;
    if (!to_us && !broadcast) return drop(LinkDrop::kNotOurs);
    switch (type) {
      case abi::kEtherTypeArp:
        verdict.kind = FrameKind::kArp;
        return verdict;
      case abi::kEtherTypeVlan:
      case abi::kEtherTypeServiceVlan:
        return drop(LinkDrop::kVlan);
      case abi::kEtherTypeIpv6:
        return drop(LinkDrop::kIpv6);
      default:
        return drop(LinkDrop::kEtherType);
    }
  }
  if (!to_us) [[unlikely]]
    return drop(LinkDrop::kNotOurs);
  const auto ip = abi::ParseIpv4(frame.subspan(abi::kEthernetHeaderBytes));
  if (!ip) [[unlikely]]
    return drop(DropOf(ip.fault));
  if (!checksum_checked && !abi::Ipv4ChecksumGood(*ip)) [[unlikely]]
    return drop(LinkDrop::kIpChecksum);
  if (!abi::IsUnicastAddress(ip->source()) || ip->source() == ip->destination()) [[unlikely]]
    return drop(LinkDrop::kBadSource);
  verdict.kind = FrameKind::kIpv4;
  verdict.ip = *ip;
  return verdict;
}

}  // namespace sluice
