// link.h - what the link level is told: the IOKernel's own address, routes, the sizes of its tables.
//
// Everything at link level is the IOKernel's: it answers ARP for its own and all apps' addresses, resolves next
// hops (neighbour.h) and writes the 14 bytes. Apps send and receive IP packets.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "iokernel/dataplane/settings.h"

namespace sluice {

struct LinkOptions {
  std::optional<Ipv4Net> address;   // our own, with its network; without it ARP asks in an app's name
  std::vector<RouteConfig> routes;  // longest prefix wins; a gateway must be on the link

  uint32_t neighbours = 1024;      // table size, a power of two; the least recently used give way
  uint32_t waiting_per_hop = 128;  // packets that wait for one next hop
  uint32_t waiting = 512;          // packets that wait for any
  uint32_t arp_retry_ms = 50;      // first wait for an answer; doubles with every try
  uint32_t arp_tries = 5;          // then the waiting packets are dropped
  uint32_t arp_hold_ms = 1000;     // and the address is left alone that long
  uint32_t reachable_ms = 30'000;  // an answer counts as fresh that long; then a hop in use is asked again
  uint32_t forget_ms = 600'000;    // a hop not used that long is forgotten
};

}  // namespace sluice
