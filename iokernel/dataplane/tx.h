// tx.h - the way out: packets from the apps' TX rings to the port, to a next hop that must be asked for first, or to
// another app of this machine.
//
// What an app writes is believed by nobody: a descriptor is copied once and then checked, the packet is copied whole
// into a frame of ours and the copy is checked. What was checked is what is sent.
//
// Thread: the dataplane loop.
#pragma once

#include <array>
#include <cstdint>

#include "iokernel/dataplane/app_table.h"
#include "iokernel/dataplane/link_level.h"
#include "iokernel/dataplane/port_out.h"
#include "iokernel/dataplane/rx.h"

namespace sluice {

class TxPath {
 public:
  TxPath(Port& port, PortOut& out, AppTable& apps, LinkLevel& link, RxPath& rx, LoopCounters& counters);
  ~TxPath();
  TxPath(const TxPath&) = delete;
  TxPath& operator=(const TxPath&) = delete;

  // A bounded share of every running kthread's TX ring, of every app; returns how many packets.
  uint32_t DrainAll(Ticks now);
  // All that a kthread left when it parked.
  void DrainParked(AppState& app, KthreadId k, Ticks now);

  // Delivers what apps have sent each other. Not from within the allocator.
  void DeliverLocal(Ticks now);

 private:
  static constexpr uint32_t kLocalPackets = 512;

  // Takes up to `most` messages of kthread k; returns how many.
  uint32_t Drain(AppState& app, KthreadId k, uint32_t most, Ticks now);
  // Copies the packets behind the first `count` messages_ into frames; returns how many are in frames_.
  uint32_t CopyOut(AppState& app, const KthreadQueues& queues, uint32_t first_slot, uint32_t count);
  // Takes the frame.
  void Route(AppState& app, rte_mbuf* frame, Ticks now);
  void SendLocal(AppState& app, rte_mbuf* frame, const abi::Ipv4View& ip, AppId to);

  Port& port_;
  PortOut& out_;
  AppTable& apps_;
  LinkLevel& link_;
  RxPath& rx_;
  LoopCounters& counters_;
  uint32_t first_app_ = 0;  // who goes first in this round

  std::array<abi::LrpcMessage, kDrainBurst> messages_{};
  std::array<rte_mbuf*, kDrainBurst> frames_{};

  std::array<rte_mbuf*, kLocalPackets> local_frames_{};
  std::array<Arrival, kLocalPackets> local_arrivals_{};
  uint32_t local_ = 0;
};

}  // namespace sluice
