// link_level.h - everything at link level: ARP both ways, next hops, the Ethernet header, the IOKernel's own echo.
//
// Thread: the dataplane loop.
#pragma once

#include <cstdint>

#include "iokernel/abi/wire.h"
#include "iokernel/dataplane/app_table.h"
#include "iokernel/dataplane/neighbour.h"
#include "iokernel/dataplane/port_out.h"
#include "iokernel/dataplane/route.h"

namespace sluice {

class LinkLevel final : public NeighbourHost {
 public:
  LinkLevel(const LinkOptions& options, abi::TickRate rate, Port& port, PortOut& out, AppTable& apps,
            LoopCounters& counters);
  ~LinkLevel() override;

  // Tells the link that `address` is here now: it may have been behind another MAC before (RFC 5227, section 2.3).
  void Announce(uint32_t address) { SendArp(abi::kBroadcastMac, {abi::kArpRequest, {}, address, {}, address}); }

  // An ARP frame has come. True if the frame has gone out again as the answer, else it is the caller's to free.
  [[nodiscard]] bool OnArp(rte_mbuf* frame, Ticks now);
  // A packet to the IOKernel's own address has come. True as above.
  [[nodiscard]] bool OnOwnPacket(rte_mbuf* frame, const abi::Ipv4View& ip);

  // Sends the packet of `app` that lies in `frame` behind room for an Ethernet header to `destination`: to the port,
  // or to wait for its next hop. Takes the frame, and counts what becomes of it.
  void Send(AppState& app, rte_mbuf* frame, uint32_t destination, Ticks now);

  void Sweep(uint32_t entries, Ticks now) { neighbours_.Sweep(entries, now); }
  void ForgetApp(AppId app) { neighbours_.ForgetApp(app); }

 private:
  void SendArpRequest(uint32_t target, uint32_t asker, const abi::MacAddress* to) override;
  void SendWaiting(rte_mbuf* frame, AppId app, const abi::MacAddress& mac) override;
  void DropWaiting(rte_mbuf* frame, AppId app) override;

  // Sends `fields` with our MAC as the sender's, if there is room; false otherwise.
  bool SendArp(const abi::MacAddress& to, abi::ArpFields fields);
  [[nodiscard]] bool AnswerArp(rte_mbuf* frame, const abi::ArpView& arp);
  // True if somebody with that address can be on our link, as seen from our own address `ours`.
  [[nodiscard]] bool OnLink(uint32_t address, uint32_t ours) const;
  // Puts the frame into the port's queue; frees it and counts if that is full.
  void Out(AppState& app, rte_mbuf* frame, const abi::MacAddress& mac);

  LinkOptions options_;
  Port& port_;
  PortOut& out_;
  AppTable& apps_;
  LoopCounters& counters_;
  RouteTable routes_;
  NeighbourTable neighbours_;
};

}  // namespace sluice
