// neighbour.h - which MAC a next hop has, and the packets that wait to learn it.
//
//             Wait                   answer                fresh time over, in use
//   (none) ---------> incomplete -----------> reachable <-------------------------> probing
//     ^                   | no answer             ^            answer                  | no answer
//     |  hold time over   v                       | a request of its own to us         v
//     +---------------- failed -------------------+                                 (none)
//
// Bounded in every way: entries (sets of kWays; a new one displaces the least valuable of its set), packets per
// hop, per app and in all, and requests per second, so that an app that sends to many dead addresses can neither
// fill the link with ARP nor take the room of others.
//
// What is learnt: from a request that asks us something, and from a reply to a question of ours. A reply nobody
// asked for changes nothing; an announcement of another MAC makes us ask again.
//
// Thread: the dataplane loop. Frames are opaque here: the host sends and frees them. Source: RFC 826, RFC 1122
// section 2.3.2 (time-outs, one waiting packet at least, no ARP floods), RFC 5227.
#pragma once

#include <cstdint>
#include <vector>

#include "iokernel/abi/clock.h"
#include "iokernel/abi/wire.h"
#include "iokernel/dataplane/counters.h"
#include "iokernel/dataplane/link.h"
#include "policies/views.h"

struct rte_mbuf;

namespace sluice {

// What the table does to the world.
class NeighbourHost {
 public:
  virtual ~NeighbourHost() = default;
  // Asks who has `target`. to: null for a broadcast.
  virtual void SendArpRequest(uint32_t target, uint32_t asker, const abi::MacAddress* to) = 0;
  // A packet that waited may go now.
  virtual void SendWaiting(rte_mbuf* frame, AppId app, const abi::MacAddress& mac) = 0;
  virtual void DropWaiting(rte_mbuf* frame, AppId app) = 0;
};

class NeighbourTable {
 public:
  NeighbourTable(const LinkOptions& options, abi::TickRate rate, NeighbourHost& host, LoopCounters& counters);

  // The MAC of `hop` if it is known and fit for use. asker: in whose name it is asked for again, in time.
  [[nodiscard]] const abi::MacAddress* Find(uint32_t hop, uint32_t asker, Ticks now);

  // Keeps `frame` until `hop` answers, and asks on behalf of `asker` if nobody has. After kFull and kUnreachable
  // the frame is still the caller's.
  enum class WaitResult : uint8_t { kWaiting, kFull, kUnreachable };
  [[nodiscard]] WaitResult Wait(uint32_t hop, uint32_t asker, rte_mbuf* frame, AppId app, Ticks now);

  // `address` has asked us something, so this is its MAC.
  void OnRequest(uint32_t address, const abi::MacAddress& mac, Ticks now);
  // True if the reply answers a question of ours.
  bool OnReply(uint32_t address, const abi::MacAddress& mac, Ticks now);
  // `address` announces itself.
  void OnAnnouncement(uint32_t address, const abi::MacAddress& mac, Ticks now);

  // Retries and ages: looks at `entries` entries, going round.
  void Sweep(uint32_t entries, Ticks now);

  // Drops what waits on behalf of `app`.
  void ForgetApp(AppId app);

  [[nodiscard]] uint32_t waiting() const { return waiting_; }
  [[nodiscard]] uint32_t size() const { return static_cast<uint32_t>(entries_.size()); }

 private:
  static constexpr uint32_t kWays = 8;
  static constexpr uint32_t kNone = ~uint32_t{0};

  enum class State : uint8_t { kFree, kFailed, kIncomplete, kReachable, kProbing };
  struct Entry {
    uint32_t address = 0;
    uint32_t asker = 0;  // in whose name we ask
    State state = State::kFree;
    uint8_t tries = 0;
    abi::MacAddress mac{};
    uint16_t waiting = 0;
    uint32_t head = kNone;  // of the waiting packets
    uint32_t tail = kNone;
    Ticks due = 0;        // next try, or end of the hold time
    Ticks confirmed = 0;  // when its MAC was last heard from it
    Ticks used = 0;       // when a packet last went to it; 0: never
  };
  struct Waiting {
    rte_mbuf* frame = nullptr;
    uint32_t next = kNone;
    AppId app = kNoApp;
  };

  [[nodiscard]] Entry* Set(uint32_t address);
  [[nodiscard]] Entry* Lookup(uint32_t address);
  [[nodiscard]] Entry& Claim(uint32_t address, Ticks now);  // an entry for a new address
  static int Worth(const Entry& entry);
  void Free(Entry& entry);
  void Learn(Entry& entry, const abi::MacAddress& mac, Ticks now);
  void Ask(Entry& entry, Ticks now);
  void GiveUp(Entry& entry, Ticks now);
  void DropAll(Entry& entry);
  [[nodiscard]] uint32_t PopWaiting(Entry& entry);
  void ReleaseNode(uint32_t node);
  [[nodiscard]] bool MayAsk(Ticks now);

  LinkOptions options_;
  NeighbourHost& host_;
  LoopCounters& counters_;
  Ticks retry_, hold_, reachable_, forget_;
  std::vector<Entry> entries_;
  std::vector<Waiting> nodes_;
  std::vector<uint16_t> waiting_of_app_;
  uint32_t free_nodes_ = kNone;
  uint32_t waiting_ = 0;
  uint32_t cursor_ = 0;
  uint32_t in_use_ = 0;
  // A token bucket for requests.
  Ticks token_interval_;
  Ticks tokens_from_ = 0;
};

}  // namespace sluice
