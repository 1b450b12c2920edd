// counters.h - what the dataplane counts: traffic, and every drop by its reason.
//
// Written by the dataplane loop alone, read by the control thread at any time; relaxed, so a reader sees each
// counter whole but no two of them at one instant. ForEach names them all, so nothing is counted unseen.
//
// Two sums hold whenever the loop is at rest (ExpectAccounts in tests/unit/dataplane/world.h):
//   port rx_packets + loop local_packets = loop arp_packets + echo_packets + link drops
//                                          + sum over apps ever attached of (rx_packets + drops rx_*)
//   app tx_taken = tx_packets + local_sent + drops tx_* + tx_waiting
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace sluice {

// One writer, any number of readers.
class Counter {
 public:
  void Add(uint64_t n = 1) { Set(Get() + n); }
  void Sub(uint64_t n = 1) { Set(Get() - n); }
  void Set(uint64_t value) { value_.store(value, std::memory_order_relaxed); }
  [[nodiscard]] uint64_t Get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

// Why an arriving frame reached no app.
enum class LinkDrop : uint8_t {
  kRunt,            // shorter than its headers
  kSegmented,       // in several mbufs: longer than the MTU
  kNotOurs,         // addressed to another MAC
  kVlan,            // tagged
  kIpv6,            // not spoken
  kEtherType,       // neither IPv4 nor ARP
  kIpVersion,       // says IPv4 outside, something else inside
  kIpHeaderLength,  // below 20 bytes, or beyond the packet
  kIpLength,        // total length beyond the frame, or below the header
  kIpChecksum,
  kFragment,    // fragments are not reassembled
  kBadSource,   // a source that no host may have: multicast, loopback, 0.0.0.0, our own
  kNoApp,       // nobody here has that destination
  kArpBad,      // malformed, or from an impossible sender
  kArpIgnored,  // well-formed, but neither a request to us nor an answer to a question of ours
  kEchoBad,     // to the IOKernel's own address, and no ICMP echo request
  kCount,
};
inline constexpr std::array<std::string_view, static_cast<size_t>(LinkDrop::kCount)> kLinkDropNames = {
    "runt",      "segmented",   "not_ours", "vlan",       "ipv6",   "ethertype", "ip_version",  "ip_header_length",
    "ip_length", "ip_checksum", "fragment", "bad_source", "no_app", "arp_bad",   "arp_ignored", "echo_bad",
};

// Why a packet to or from an app went no further.
enum class AppDrop : uint8_t {
  kRxNoBuffer,  // the app holds all of its RX buffers
  kRxRingFull,  // the kthread does not keep up
  kRxTooLong,   // longer than the app's MTU
  kTxType,      // a message type that a TX ring does not carry
  kTxLength,    // below an IP header, above the MTU
  kTxHeader,    // no sound IPv4 header, or its length is not the message's
  kTxChecksum,  // IP header checksum wrong
  kTxSource,    // a source address that is not the app's
  kTxNoRoute,
  kTxOwnAddress,     // to the IOKernel itself, or an address of no host on the link
  kTxBroadcast,      // to a broadcast or multicast address
  kTxUnresolved,     // the next hop does not answer ARP
  kTxNeighbourFull,  // too many packets wait for next hops
  kTxPortFull,       // the port took no more while a parked kthread's ring had to be emptied
  kTxNoMbuf,         // the port's packet buffers are all in use
  kTxLocalFull,      // too many packets to other apps at once
  kFillType,         // a message type that a fill ring does not carry
  kFillIndex,        // no such buffer
  kFillDouble,       // a buffer that was free already
  kCount,
};
inline constexpr std::array<std::string_view, static_cast<size_t>(AppDrop::kCount)> kAppDropNames = {
    "rx_no_buffer",  "rx_ring_full",  "rx_too_long",       "tx_type",      "tx_length",
    "tx_header",     "tx_checksum",   "tx_source",         "tx_no_route",  "tx_own_address",
    "tx_broadcast",  "tx_unresolved", "tx_neighbour_full", "tx_port_full", "tx_no_mbuf",
    "tx_local_full", "fill_type",     "fill_index",        "fill_double"};

template <class Reason>
class DropCounters {
 public:
  void Add(Reason reason, uint64_t n = 1) { counters_[static_cast<size_t>(reason)].Add(n); }
  [[nodiscard]] uint64_t Get(Reason reason) const { return counters_[static_cast<size_t>(reason)].Get(); }
  [[nodiscard]] const Counter& At(size_t i) const { return counters_[i]; }

 private:
  std::array<Counter, static_cast<size_t>(Reason::kCount)> counters_;
};

template <class Owner>
struct CounterName {
  std::string_view name;
  Counter Owner::*member;
};

struct LoopCounters {
  Counter iterations;
  Counter busy_ticks;     // time in iterations that found work
  Counter commands;       // from the control thread
  Counter local_packets;  // switched between apps of this machine
  Counter arp_packets;    // arrived and acted upon
  Counter arp_requests_sent;
  Counter arp_replies_sent;
  Counter echo_packets;  // ICMP echo requests to the IOKernel's own address, answered
  Counter neighbours;    // in the table now
  Counter neighbours_failed;
  Counter neighbours_evicted;
  Counter tx_backlog;  // packets the port has not yet taken
  Counter faults;      // apps whose memory failed
  DropCounters<LinkDrop> drops;

  static constexpr auto kDropNames = std::span(kLinkDropNames);
  static constexpr std::array<CounterName<LoopCounters>, 13> Names();
};

struct AppCounters {
  Counter rx_packets;  // put on an RX ring
  Counter rx_bytes;
  Counter tx_taken;    // messages taken from TX rings
  Counter tx_packets;  // handed to the port
  Counter tx_bytes;
  Counter local_sent;    // handed to another app of this machine
  Counter tx_waiting;    // packets that wait for a next hop now
  Counter buffers_free;  // RX buffers that the IOKernel has now
  Counter cores;         // core slots held now
  Counter grants;
  DropCounters<AppDrop> drops;

  static constexpr auto kDropNames = std::span(kAppDropNames);
  static constexpr std::array<CounterName<AppCounters>, 10> Names();
};

// One per kthread.
struct KthreadCounters {
  Counter rx_packets;  // put on its RX ring
  Counter tx_packets;  // taken from its TX ring
  Counter grants;
};

struct PortCounters {
  Counter rx_packets;
  Counter rx_bytes;
  Counter tx_packets;
  Counter tx_bytes;
  Counter tx_full;  // bursts of which the port took only a part

  static constexpr std::array<CounterName<PortCounters>, 5> Names();
};

// Calls fn(std::string_view name, uint64_t value, bool drop) for every counter, then for every drop reason.
template <class Counters, class Fn>
void ForEach(const Counters& counters, Fn&& fn) {
  for (const auto& [name, member] : Counters::Names()) fn(name, (counters.*member).Get(), false);
  if constexpr (requires { counters.drops; }) {
    for (size_t i = 0; i < Counters::kDropNames.size(); ++i) {
      fn(Counters::kDropNames[i], counters.drops.At(i).Get(), true);
    }
  }
}

// ---------------------------------------------------------------------------------------------------

constexpr std::array<CounterName<LoopCounters>, 13> LoopCounters::Names() {
  using C = LoopCounters;
  return {{{"iterations", &C::iterations},
           {"busy_ticks", &C::busy_ticks},
           {"commands", &C::commands},
           {"local_packets", &C::local_packets},
           {"arp_packets", &C::arp_packets},
           {"arp_requests_sent", &C::arp_requests_sent},
           {"arp_replies_sent", &C::arp_replies_sent},
           {"echo_packets", &C::echo_packets},
           {"neighbours", &C::neighbours},
           {"neighbours_failed", &C::neighbours_failed},
           {"neighbours_evicted", &C::neighbours_evicted},
           {"tx_backlog", &C::tx_backlog},
           {"faults", &C::faults}}};
}

constexpr std::array<CounterName<AppCounters>, 10> AppCounters::Names() {
  using C = AppCounters;
  return {{{"rx_packets", &C::rx_packets},
           {"rx_bytes", &C::rx_bytes},
           {"tx_taken", &C::tx_taken},
           {"tx_packets", &C::tx_packets},
           {"tx_bytes", &C::tx_bytes},
           {"local_sent", &C::local_sent},
           {"tx_waiting", &C::tx_waiting},
           {"buffers_free", &C::buffers_free},
           {"cores", &C::cores},
           {"grants", &C::grants}}};
}

constexpr std::array<CounterName<PortCounters>, 5> PortCounters::Names() {
  using C = PortCounters;
  return {{{"rx_packets", &C::rx_packets},
           {"rx_bytes", &C::rx_bytes},
           {"tx_packets", &C::tx_packets},
           {"tx_bytes", &C::tx_bytes},
           {"tx_full", &C::tx_full}}};
}

// A counter without a name would be one that nobody sees.
static_assert(sizeof(LoopCounters) ==
              sizeof(Counter) * (LoopCounters::Names().size() + LoopCounters::kDropNames.size()));
static_assert(sizeof(AppCounters) == sizeof(Counter) * (AppCounters::Names().size() + AppCounters::kDropNames.size()));
static_assert(sizeof(PortCounters) == sizeof(Counter) * PortCounters::Names().size());

}  // namespace sluice
