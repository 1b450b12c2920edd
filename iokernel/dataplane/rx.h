// rx.h - the way in: frames from the port, and packets from other apps here, into the RX buffers and rings of apps.
//
// A burst goes through in stages, so that cache misses overlap: judge every frame; group by app; per app one call of
// its steering policy; take buffers and fetch their lines for writing; copy; stage a message per packet for its
// kthread; send each kthread's lot together.
//
// Thread: the dataplane loop.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "iokernel/abi/toeplitz.h"
#include "iokernel/brain/allocator.h"
#include "iokernel/dataplane/app_table.h"
#include "iokernel/dataplane/link_level.h"
#include "iokernel/dataplane/port.h"

namespace sluice {

// A checked IPv4 packet for an app. Its bytes lie in a frame that outlives the delivery.
struct Arrival {
  const std::byte* packet = nullptr;
  uint32_t hash = 0;
  uint16_t length = 0;
  AppId app = kNoApp;
  uint8_t flags = 0;  // abi::RxFlag
};

class RxPath {
 public:
  RxPath(Port& port, AppTable& apps, LinkLevel& link, Allocator& allocator, LoopCounters& counters);

  // Takes one burst from the port; returns how many frames came.
  uint32_t Poll(Ticks now);

  // Delivers packets for any mix of apps; at most kBurst. The frames stay the caller's.
  void Deliver(std::span<const Arrival> arrivals, Ticks now);

  [[nodiscard]] const abi::ToeplitzTable& toeplitz() const { return toeplitz_; }

 private:
  // Judges frame i; adds an arrival, or answers, or drops. True if the frame is still ours.
  [[nodiscard]] bool Judge(rte_mbuf* frame, Ticks now);
  void DeliverTo(AppState& app, std::span<const Arrival> arrivals, Ticks now);
  void SendStaged(AppState& app, uint32_t touched, Ticks now);

  Port& port_;
  AppTable& apps_;
  LinkLevel& link_;
  Allocator& allocator_;
  LoopCounters& counters_;
  const abi::ToeplitzTable& toeplitz_;
  const uint64_t mac_;
  const PortCapabilities can_;

  std::array<rte_mbuf*, kBurst> frames_{};
  uint32_t arrived_ = 0;  // arrivals_ of this burst
  std::array<Arrival, kBurst> arrivals_{};

  // Grouping: chains of arrivals per app, and one app's gathered.
  std::array<uint8_t, kMaxApps> chain_head_{};
  std::array<uint8_t, kMaxApps> chain_tail_{};
  std::array<uint8_t, kBurst> chain_next_{};
  std::array<Arrival, kBurst> group_{};

  // Within DeliverTo.
  std::array<uint32_t, kBurst> hashes_{};
  std::array<KthreadId, kBurst> kthreads_{};
  std::array<uint32_t, kBurst> buffers_{};
  std::array<KthreadId, kBurst> touched_{};
};

}  // namespace sluice
