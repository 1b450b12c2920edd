// flow_affinity_state.h - what flow_affinity.cc and flow_entries.cc share. Not for use elsewhere.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "policies/steering/flow_affinity.h"
#include "policies/steering/flow_map.h"
#include "policies/steering/homes.h"

namespace sluice {

// A position's entry: the home, and what is known of the flow. Two bytes, because an app may have more than 256
// kthreads.
inline constexpr uint16_t kHomeMask = FlowAffinity::kMaxHomes - 1;
inline constexpr uint16_t kTaken = 0x8000;       // a flow is here
inline constexpr uint16_t kReferenced = 0x4000;  // it had a packet since the hand was here
inline constexpr uint16_t kInstalled = 0x2000;   // from outside: stays

// No fetch_add: the loop is the only writer.
inline void Add(std::atomic<uint64_t>& counter, uint64_t n) {
  counter.store(counter.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
}

// New flows that wait for a home, and the kthread that gets their packets meanwhile. First in, first out; what
// finds no room is not noted, and waits for the flow's next packet.
class WaitingFlows {
 public:
  struct Flow {
    uint32_t hash = 0;
    KthreadId kthread = kNoKthread;
  };

  [[nodiscard]] bool empty() const { return head_ == tail_; }
  // A flow that sends many packets before its turn comes is noted once (unless its hash is 0, or another with the
  // same last bits comes between).
  void Note(uint32_t hash, KthreadId kthread) {
    const bool noted = hash != 0 && latest_[hash % kSlots] == hash;
    if (noted || tail_ - head_ == kSlots) return;
    latest_[hash % kSlots] = hash;
    slots_[tail_++ % kSlots] = {hash, kthread};
  }
  Flow Take() {
    const Flow flow = slots_[head_++ % kSlots];
    latest_[flow.hash % kSlots] = 0;
    return flow;
  }
  void Clear() {
    while (!empty()) Take();
  }

 private:
  static constexpr uint32_t kSlots = 4096;
  uint32_t head_ = 0;
  uint32_t tail_ = 0;
  std::array<Flow, kSlots> slots_{};
  std::array<uint32_t, kSlots> latest_{};  // by the hash's last bits: which is noted; 0: none
};

struct FlowAffinity::State {
  // What stops the hand.
  enum class Round : uint8_t { kRunning, kMark, kDrain };

  // By position, of installed flows.
  struct Installed {
    FiveTuple tuple;
    uint32_t index;  // in `installed`
  };

  State(FlowMap&& made, const SteeringOptions& options, Insertion insertion)
      : map(std::move(made)),
        capacity(options.flows),
        entries(map.positions()),
        tuples(std::make_unique_for_overwrite<Installed[]>(map.positions())),
        homes(options.max_kthreads),
        round_mark(options.max_kthreads),
        waiting(insertion == Insertion::kInIdle ? std::make_unique<WaitingFlows>() : nullptr) {
    installed.reserve(capacity);
  }

  FlowMap map;
  uint32_t capacity;
  uint32_t flows = 0;
  std::vector<uint16_t> entries;  // by position
  // Not initialised, and only reserved, so that their pages cost nothing until flows are installed.
  std::unique_ptr<Installed[]> tuples;
  std::vector<uint32_t> installed;  // positions

  Homes homes;

  uint32_t hand = 0;                 // the next entry it looks at
  uint32_t deficit = 0;              // flows to forget
  std::vector<uint32_t> round_mark;  // by kthread: rx_sent at the end of the hand's last round
  uint16_t round_next = 0;
  Round round = Round::kRunning;

  const std::unique_ptr<WaitingFlows> waiting;  // null: new flows get their home at once
  Counters counters;

  // ---- flow_affinity.cc
  void Steer(const AppView& view, std::span<const uint32_t> hash, std::span<KthreadId> out, Hints& hints);
  KthreadId Miss(const AppView& view, uint32_t key, Hints& hints, bool* no_room);
  KthreadId Wait(const AppView& view, uint32_t key);

  // ---- flow_entries.cc
  void Take(int32_t position, uint16_t home, uint16_t marks);
  void Forget(uint32_t position);
  void MakeRoom();
  void NoteDrained(const AppView& view);
  void Sweep(uint32_t entries_to_see, uint32_t flows_to_forget);
  uint32_t SettleWaiting(uint32_t budget);
};

}  // namespace sluice
