// route.h - the next hop of a destination: longest prefix match over the few configured routes.
//
// Thread: made by the control thread, then the dataplane loop's alone. A handful of routes, longest prefix first:
// a scan beats any tree. The interface's own networks are routes too, whose next hop is the destination itself.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "iokernel/dataplane/link.h"

namespace sluice {

class RouteTable {
 public:
  explicit RouteTable(const LinkOptions& options);

  // The address to resolve for `destination`, as seen by an app on `app_net`. Nothing: no route.
  [[nodiscard]] std::optional<uint32_t> NextHop(uint32_t destination, const Ipv4Net& app_net) const;

  // True for the network's own address and its broadcast address, which are no hosts.
  static bool IsNoHost(uint32_t address, const Ipv4Net& net);

 private:
  struct Entry {
    uint32_t network;
    uint32_t mask;
    uint32_t via;  // 0: on the link
  };
  std::vector<Entry> entries_;  // longest prefix first
};

// ---------------------------------------------------------------------------------------------------

inline std::optional<uint32_t> RouteTable::NextHop(uint32_t destination, const Ipv4Net& app_net) const {
  for (const Entry& entry : entries_) {
    // Of two equal prefixes the link itself wins: a host that is here needs no gateway.
    if (entry.mask <= app_net.mask()) break;
    if ((destination & entry.mask) == entry.network) return entry.via == 0 ? destination : entry.via;
  }
  if (app_net.Contains(destination)) return destination;
  for (const Entry& entry : entries_) {
    if ((destination & entry.mask) == entry.network) return entry.via == 0 ? destination : entry.via;
  }
  return std::nullopt;
}

inline bool RouteTable::IsNoHost(uint32_t address, const Ipv4Net& net) {
  // RFC 3021: in a network of 31 bits both addresses are hosts.
  if (net.prefix_bits >= 31 || !net.Contains(address)) return false;
  const uint32_t host = address & ~net.mask();
  return host == 0 || host == ~net.mask();
}

}  // namespace sluice
