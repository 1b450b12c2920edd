// wire.h - the wire formats of Ethernet, ARP, IPv4, UDP and ICMP echo.
//
// Each protocol has a View: accessors at fixed offsets over bytes that somebody has checked. Only the Parse
// functions make a View out of foreign bytes; they check what must hold for every accessor to stay inside, and
// name what is wrong otherwise. Checksums are separate (the ChecksumGood functions), for ports that verify them. The
// Write functions fill in headers. Values are in host order; nothing here allocates or keeps state.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "iokernel/abi/byte_order.h"
#include "iokernel/abi/checksum.h"

namespace sluice::abi {

// Why bytes are not the packet that they should be.
enum class WireFault : uint8_t {
  kNone = 0,
  kTruncated,     // fewer bytes than the fixed header has
  kVersion,       // not IPv4
  kHeaderLength,  // IHL below 5 words or beyond the packet
  kTotalLength,   // shorter than the header, or longer than the bytes that came
  kFragment,      // part of a datagram; fragments are not reassembled
  kLength,        // UDP's length: below 8 or more than IP carries
  kFormat,        // not ARP for IPv4 over Ethernet
  kNotEcho,       // ICMP of another type
};

template <class View>
struct Parsed {
  View view{};
  WireFault fault = WireFault::kNone;

  explicit operator bool() const { return fault == WireFault::kNone; }
  const View& operator*() const { return view; }
  const View* operator->() const { return &view; }

  static Parsed Fault(WireFault fault) {
    Parsed parsed;
    parsed.fault = fault;
    return parsed;
  }
  static Parsed Of(const View& view) {
    Parsed parsed;
    parsed.view = view;
    return parsed;
  }
};

// ---- Ethernet (IEEE 802.3) ------------------------------------------------------------------------

using MacAddress = std::array<uint8_t, 6>;
inline constexpr MacAddress kBroadcastMac = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

inline constexpr size_t kEthernetHeaderBytes = 14;
inline constexpr size_t kEthernetMinFrameBytes = 60;  // without the check sequence

enum EtherType : uint16_t {
  kEtherTypeIpv4 = 0x0800,
  kEtherTypeArp = 0x0806,
  kEtherTypeVlan = 0x8100,  // IEEE 802.1Q
  kEtherTypeIpv6 = 0x86dd,
  kEtherTypeServiceVlan = 0x88a8,  // IEEE 802.1ad
};

class EthernetView {
 public:
  EthernetView() = default;
  explicit EthernetView(std::span<const std::byte> frame) : frame_(frame) {}

  [[nodiscard]] MacAddress destination() const { return Mac(0); }
  [[nodiscard]] MacAddress source() const { return Mac(6); }
  [[nodiscard]] uint16_t ether_type() const { return LoadBe16(frame_.data() + 12); }
  // The group bit: broadcast or multicast.
  [[nodiscard]] bool to_group() const { return (LoadByte(frame_.data()) & 1) != 0; }
  // What follows the header, padding to the minimum frame included.
  [[nodiscard]] std::span<const std::byte> payload() const { return frame_.subspan(kEthernetHeaderBytes); }

 private:
  [[nodiscard]] MacAddress Mac(size_t offset) const {
    MacAddress mac;
    std::memcpy(mac.data(), frame_.data() + offset, mac.size());
    return mac;
  }
  std::span<const std::byte> frame_;
};

// Fault: kTruncated.
inline Parsed<EthernetView> ParseEthernet(std::span<const std::byte> frame) {
  if (frame.size() < kEthernetHeaderBytes) return Parsed<EthernetView>::Fault(WireFault::kTruncated);
  return Parsed<EthernetView>::Of(EthernetView(frame));
}

// Fills kEthernetHeaderBytes at `at`.
inline void WriteEthernet(std::byte* at, const MacAddress& destination, const MacAddress& source, uint16_t ether_type) {
  std::memcpy(at, destination.data(), destination.size());
  std::memcpy(at + 6, source.data(), source.size());
  StoreBe16(at + 12, ether_type);
}

// ---- ARP (RFC 826), for IPv4 over Ethernet --------------------------------------------------------

inline constexpr size_t kArpBytes = 28;
enum ArpOperation : uint16_t { kArpRequest = 1, kArpReply = 2 };

class ArpView {
 public:
  ArpView() = default;
  explicit ArpView(std::span<const std::byte> packet) : packet_(packet) {}

  [[nodiscard]] uint16_t operation() const { return LoadBe16(packet_.data() + 6); }
  [[nodiscard]] MacAddress sender_mac() const { return Mac(8); }
  [[nodiscard]] uint32_t sender_address() const { return LoadBe32(packet_.data() + 14); }
  [[nodiscard]] MacAddress target_mac() const { return Mac(18); }
  [[nodiscard]] uint32_t target_address() const { return LoadBe32(packet_.data() + 24); }

 private:
  [[nodiscard]] MacAddress Mac(size_t offset) const {
    MacAddress mac;
    std::memcpy(mac.data(), packet_.data() + offset, mac.size());
    return mac;
  }
  std::span<const std::byte> packet_;
};

// Faults: kTruncated, kFormat.
inline Parsed<ArpView> ParseArp(std::span<const std::byte> packet) {
  if (packet.size() < kArpBytes) return Parsed<ArpView>::Fault(WireFault::kTruncated);
  // RFC 826, "Packet Reception": "?Do I have the hardware type in ar$hrd?", "?Do I speak the protocol in
  // ar$pro?", with their lengths checked. Ethernet is hardware type 1, addresses of 6 and 4 bytes.
  if (LoadBe32(packet.data()) != (1u << 16 | kEtherTypeIpv4) || LoadBe16(packet.data() + 4) != (6 << 8 | 4)) {
    return Parsed<ArpView>::Fault(WireFault::kFormat);
  }
  return Parsed<ArpView>::Of(ArpView(packet));
}

struct ArpFields {
  uint16_t operation = kArpRequest;
  MacAddress sender_mac{};
  uint32_t sender_address = 0;
  MacAddress target_mac{};
  uint32_t target_address = 0;
};

// Fills kArpBytes at `at`.
inline void WriteArp(std::byte* at, const ArpFields& fields) {
  StoreBe32(at, 1u << 16 | kEtherTypeIpv4);
  StoreBe16(at + 4, 6 << 8 | 4);
  StoreBe16(at + 6, fields.operation);
  std::memcpy(at + 8, fields.sender_mac.data(), 6);
  StoreBe32(at + 14, fields.sender_address);
  std::memcpy(at + 18, fields.target_mac.data(), 6);
  StoreBe32(at + 24, fields.target_address);
}

// ---- IPv4 (RFC 791) -------------------------------------------------------------------------------

inline constexpr size_t kIpv4HeaderBytes = 20;  // without options
inline constexpr uint8_t kDefaultTtl = 64;      // RFC 1700

enum IpProtocol : uint8_t { kProtocolIcmp = 1, kProtocolTcp = 6, kProtocolUdp = 17 };

class Ipv4View {
 public:
  Ipv4View() = default;
  explicit Ipv4View(const std::byte* packet) : packet_(packet) {}

  [[nodiscard]] uint8_t version() const { return LoadByte(packet_) >> 4; }
  [[nodiscard]] size_t header_bytes() const { return size_t{4} * (LoadByte(packet_) & 0x0f); }
  [[nodiscard]] uint8_t tos() const { return LoadByte(packet_ + 1); }
  [[nodiscard]] uint16_t total_bytes() const { return LoadBe16(packet_ + 2); }
  [[nodiscard]] uint16_t id() const { return LoadBe16(packet_ + 4); }
  [[nodiscard]] bool dont_fragment() const { return (LoadByte(packet_ + 6) & 0x40) != 0; }
  // True for any part of a fragmented datagram: more fragments follow, or the offset is not 0.
  [[nodiscard]] bool fragment() const { return (LoadBe16(packet_ + 6) & 0x3fff) != 0; }
  [[nodiscard]] uint8_t ttl() const { return LoadByte(packet_ + 8); }
  [[nodiscard]] uint8_t protocol() const { return LoadByte(packet_ + 9); }
  [[nodiscard]] uint16_t checksum() const { return LoadBe16(packet_ + 10); }
  [[nodiscard]] uint32_t source() const { return LoadBe32(packet_ + 12); }
  [[nodiscard]] uint32_t destination() const { return LoadBe32(packet_ + 16); }

  [[nodiscard]] std::span<const std::byte> header() const { return {packet_, header_bytes()}; }
  // The packet by its own total length, without padding of the link.
  [[nodiscard]] std::span<const std::byte> packet() const { return {packet_, total_bytes()}; }
  [[nodiscard]] std::span<const std::byte> payload() const { return packet().subspan(header_bytes()); }

 private:
  const std::byte* packet_ = nullptr;
};

// `packet` may be longer than the datagram: Ethernet pads. Options are allowed and skipped.
// Faults: kTruncated, kVersion, kHeaderLength, kTotalLength, kFragment.
inline Parsed<Ipv4View> ParseIpv4(std::span<const std::byte> packet) {
  if (packet.size() < kIpv4HeaderBytes) return Parsed<Ipv4View>::Fault(WireFault::kTruncated);
  const Ipv4View view(packet.data());
  if (view.version() != 4) return Parsed<Ipv4View>::Fault(WireFault::kVersion);
  // RFC 791, section 3.1: "the minimum value for a correct header is 5".
  if (view.header_bytes() < kIpv4HeaderBytes || view.header_bytes() > packet.size()) {
    return Parsed<Ipv4View>::Fault(WireFault::kHeaderLength);
  }
  // RFC 791, section 3.1: "Total Length is the length of the datagram, measured in octets, including internet
  // header and data".
  if (view.total_bytes() < view.header_bytes() || view.total_bytes() > packet.size()) {
    return Parsed<Ipv4View>::Fault(WireFault::kTotalLength);
  }
  if (view.fragment()) return Parsed<Ipv4View>::Fault(WireFault::kFragment);
  return Parsed<Ipv4View>::Of(view);
}

// RFC 1122, section 3.2.1.2: "a host MUST verify the IP header checksum on every received datagram".
inline bool Ipv4ChecksumGood(const Ipv4View& ip) { return Checksum(ip.header()) == 0; }

// False for what no datagram may come from (RFC 1122, section 3.2.1.3): this host (0/8), loopback, multicast,
// the reserved class E and limited broadcast. A subnet's own broadcast is for the caller, who knows the subnet.
constexpr bool IsUnicastAddress(uint32_t address) {
  const uint32_t net = address >> 24;
  return net != 0 && net != 127 && net < 224;
}

struct Ipv4Fields {
  uint32_t source = 0;
  uint32_t destination = 0;
  uint16_t payload_bytes = 0;
  uint16_t id = 0;
  uint8_t protocol = 0;
  uint8_t ttl = kDefaultTtl;
  uint8_t tos = 0;
};

// Fills kIpv4HeaderBytes at `at`, checksum included. DF is set: RFC 6864, section 4.1 lets the id be anything then.
inline void WriteIpv4(std::byte* at, const Ipv4Fields& fields) {
  StoreByte(at, 0x45);
  StoreByte(at + 1, fields.tos);
  StoreBe16(at + 2, static_cast<uint16_t>(kIpv4HeaderBytes + fields.payload_bytes));
  StoreBe16(at + 4, fields.id);
  StoreBe16(at + 6, 0x4000);
  StoreByte(at + 8, fields.ttl);
  StoreByte(at + 9, fields.protocol);
  StoreBe16(at + 10, 0);
  StoreBe32(at + 12, fields.source);
  StoreBe32(at + 16, fields.destination);
  StoreBe16(at + 10, Checksum({at, kIpv4HeaderBytes}));
}

// What a packet's flow is named by. Ports are 0 where the protocol has none.
struct FlowTuple {
  uint32_t source = 0;
  uint32_t destination = 0;
  uint16_t source_port = 0;
  uint16_t destination_port = 0;
  uint8_t protocol = 0;
  bool has_ports = false;  // hash the 4-tuple, else the 2-tuple
};

// UDP and TCP both begin with the two ports. A payload too short for them counts as one without.
inline FlowTuple FlowOf(const Ipv4View& ip) {
  FlowTuple flow;
  flow.source = ip.source();
  flow.destination = ip.destination();
  flow.protocol = ip.protocol();
  const auto payload = ip.payload();
  if ((flow.protocol == kProtocolUdp || flow.protocol == kProtocolTcp) && payload.size() >= 4) {
    flow.source_port = LoadBe16(payload.data());
    flow.destination_port = LoadBe16(payload.data() + 2);
    flow.has_ports = true;
  }
  return flow;
}

// ---- UDP (RFC 768) --------------------------------------------------------------------------------

inline constexpr size_t kUdpHeaderBytes = 8;

class UdpView {
 public:
  UdpView() = default;
  explicit UdpView(const std::byte* datagram) : datagram_(datagram) {}

  [[nodiscard]] uint16_t source_port() const { return LoadBe16(datagram_); }
  [[nodiscard]] uint16_t destination_port() const { return LoadBe16(datagram_ + 2); }
  [[nodiscard]] uint16_t length() const { return LoadBe16(datagram_ + 4); }  // with the header
  [[nodiscard]] uint16_t checksum() const { return LoadBe16(datagram_ + 6); }

  [[nodiscard]] std::span<const std::byte> datagram() const { return {datagram_, length()}; }
  [[nodiscard]] std::span<const std::byte> payload() const { return datagram().subspan(kUdpHeaderBytes); }

 private:
  const std::byte* datagram_ = nullptr;
};

// `ip_payload`: what IPv4 carries. Faults: kTruncated, kLength.
inline Parsed<UdpView> ParseUdp(std::span<const std::byte> ip_payload) {
  if (ip_payload.size() < kUdpHeaderBytes) return Parsed<UdpView>::Fault(WireFault::kTruncated);
  const UdpView view(ip_payload.data());
  // RFC 768, "Length": "the minimum value of the length is eight". It may not exceed what IP carries; where IP
  // carries more, the rest is not part of the datagram.
  if (view.length() < kUdpHeaderBytes || view.length() > ip_payload.size()) {
    return Parsed<UdpView>::Fault(WireFault::kLength);
  }
  return Parsed<UdpView>::Of(view);
}

// RFC 768, "Checksum": "an all zero transmitted checksum value means that the transmitter generated no checksum".
inline bool UdpChecksumGood(const Ipv4View& ip, const UdpView& udp) {
  return udp.checksum() == 0 || ChecksumTransport(ip.source(), ip.destination(), kProtocolUdp, udp.datagram()) == 0;
}

struct UdpFields {
  uint32_t source = 0;  // addresses of the pseudo-header
  uint32_t destination = 0;
  uint16_t source_port = 0;
  uint16_t destination_port = 0;
  uint16_t payload_bytes = 0;
};

// Fills kUdpHeaderBytes at `at`; the payload must already lie behind them, for it is summed.
inline void WriteUdp(std::byte* at, const UdpFields& fields) {
  const auto length = static_cast<uint16_t>(kUdpHeaderBytes + fields.payload_bytes);
  StoreBe16(at, fields.source_port);
  StoreBe16(at + 2, fields.destination_port);
  StoreBe16(at + 4, length);
  StoreBe16(at + 6, 0);
  const uint16_t sum = ChecksumTransport(fields.source, fields.destination, kProtocolUdp, {at, length});
  // RFC 768, "Checksum": "if the computed checksum is zero, it is transmitted as all ones".
  StoreBe16(at + 6, sum == 0 ? 0xffff : sum);
}

// ---- ICMP echo (RFC 792) --------------------------------------------------------------------------

inline constexpr size_t kIcmpHeaderBytes = 8;
enum IcmpType : uint8_t { kIcmpEchoReply = 0, kIcmpEchoRequest = 8 };

class IcmpEchoView {
 public:
  IcmpEchoView() = default;
  explicit IcmpEchoView(std::span<const std::byte> message) : message_(message) {}

  [[nodiscard]] uint8_t type() const { return LoadByte(message_.data()); }
  [[nodiscard]] uint16_t id() const { return LoadBe16(message_.data() + 4); }
  [[nodiscard]] uint16_t sequence() const { return LoadBe16(message_.data() + 6); }
  [[nodiscard]] std::span<const std::byte> message() const { return message_; }
  [[nodiscard]] std::span<const std::byte> payload() const { return message_.subspan(kIcmpHeaderBytes); }

 private:
  std::span<const std::byte> message_;
};

// `ip_payload`: what IPv4 carries. Faults: kTruncated, kNotEcho (another type, or a code that is not 0).
inline Parsed<IcmpEchoView> ParseIcmpEcho(std::span<const std::byte> ip_payload) {
  if (ip_payload.size() < kIcmpHeaderBytes) return Parsed<IcmpEchoView>::Fault(WireFault::kTruncated);
  const uint8_t type = LoadByte(ip_payload.data());
  const uint8_t code = LoadByte(ip_payload.data() + 1);
  if ((type != kIcmpEchoReply && type != kIcmpEchoRequest) || code != 0) {
    return Parsed<IcmpEchoView>::Fault(WireFault::kNotEcho);
  }
  return Parsed<IcmpEchoView>::Of(IcmpEchoView(ip_payload));
}

inline bool IcmpChecksumGood(const IcmpEchoView& icmp) { return Checksum(icmp.message()) == 0; }

struct IcmpEchoFields {
  uint8_t type = kIcmpEchoRequest;
  uint16_t id = 0;
  uint16_t sequence = 0;
  uint16_t payload_bytes = 0;
};

// Fills kIcmpHeaderBytes at `at`; the payload must already lie behind them, for it is summed.
inline void WriteIcmpEcho(std::byte* at, const IcmpEchoFields& fields) {
  StoreByte(at, fields.type);
  StoreByte(at + 1, 0);
  StoreBe16(at + 2, 0);
  StoreBe16(at + 4, fields.id);
  StoreBe16(at + 6, fields.sequence);
  StoreBe16(at + 2, Checksum({at, kIcmpHeaderBytes + fields.payload_bytes}));
}

}  // namespace sluice::abi
