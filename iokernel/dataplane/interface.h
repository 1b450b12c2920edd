// interface.h - what Linux says about a network interface of this namespace. Looks only; changes nothing.
#pragma once

#include <cstdint>
#include <string>

namespace sluice {

struct InterfaceInfo {
  bool exists = false;
  bool up = false;       // by whoever administers it
  bool carrier = false;  // a cable, or a peer that is up
  uint16_t mtu = 0;
  uint32_t rx_queues = 1;
};

[[nodiscard]] InterfaceInfo LookAtInterface(const std::string& name);

// "lo, veth0"; for messages.
[[nodiscard]] std::string InterfaceNames();

// True if this process has the capability (CAP_NET_ADMIN, ...).
[[nodiscard]] bool HasCapability(int capability);

// Why an AF_XDP socket cannot be bound to queue 0 of `name`: binds one of its own and lets it go again.
// Empty if it can be bound.
[[nodiscard]] std::string WhyNoXdpSocket(const std::string& name);

}  // namespace sluice
