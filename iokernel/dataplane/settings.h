// settings.h - what the dataplane is told about the world: networks, routes, which port. Values only.
//
// The config file (iokernel/control/config.h) is made of these; nothing here knows DPDK.
#pragma once

#include <cstdint>
#include <string>

namespace sluice {

// An IPv4 network, or an address with its network; host order.
struct Ipv4Net {
  uint32_t address = 0;
  uint8_t prefix_bits = 0;
  [[nodiscard]] uint32_t mask() const { return prefix_bits == 0 ? 0 : ~uint32_t{0} << (32 - prefix_bits); }
  [[nodiscard]] bool Contains(uint32_t other) const { return ((address ^ other) & mask()) == 0; }
  bool operator==(const Ipv4Net&) const = default;
};

// Packets for `network` go to the neighbour `via`.
struct RouteConfig {
  Ipv4Net network;
  uint32_t via = 0;
  bool operator==(const RouteConfig&) const = default;
};

enum class PortKind : uint8_t { kNone, kAfXdp, kTap, kAfPacket, kMemif, kPci, kNull };

struct PortConfig {
  PortKind kind = PortKind::kNone;
  std::string text;      // as written: "af_xdp:veth0"
  std::string argument;  // what follows the colon
  bool operator==(const PortConfig&) const = default;
};

}  // namespace sluice
