// flow_affinity.h - a flow keeps its home, a home keeps its core: packets of one flow meet a warm cache, in order.
//
// `hash_to_core` of Calisto: a table per app from the 32-bit flow hash to a *home* (0 .. max_kthreads-1), and one
// word per home, its core. Rules:
//   1. A home is bound to the first core granted for it. When the app gets a core that is no home's and all homes
//      are bound, the home that has been away longest has lost its core for good and moves there: one write for
//      all its flows.
//   2. A packet whose home's kthread is steerable goes there.
//   3. While it is not, the home's packets go to one stand-in: the active kthread that serves the fewest flows.
//      The stand-in stays until the home is back, the stand-in leaves, or one that serves less has come.
//   4. A home moves from a steerable kthread to another only when that one has taken every packet it got for the
//      home: no packet overtakes. (If a kthread leaves with packets in its ring, which only preemption does, the
//      order of those is the runtime's to keep.)
//   5. A new flow gets the home with the fewest flows.
//   6. When the table is full, flows not seen for a while are forgotten (second chance, see below); a packet that
//      still finds no room is steered by the `rss` rule and counted. The order of such flows is not kept.
//   7. It never demands a core: Hints::wanted holds the cores of homes that had packets while they were away.
//
// Second chance: a hand goes over the table and takes each flow's reference bit; a flow whose bit is still gone at
// the next round is forgotten. A round begins only when all packets sent before the end of the last one have been
// consumed, so no forgotten flow has a packet in a ring. Flows installed from outside stay until they are removed.
//
// Made and freed on the control thread, used by the loop in between; counters may be read from any thread.
// Files: flow_affinity.cc, a burst; flow_entries.cc, what is known of flows; homes.h; flow_map.h, the table.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <tl/expected.hpp>

#include "policies/concepts.h"
#include "policies/steering/flow.h"

namespace sluice {

class FlowAffinity {
 public:
  static constexpr std::string_view kName = "flow-affinity";
  static constexpr std::string_view kSummary =
      "a flow keeps its core: a table of flows, stand-ins while a core is away";

  static constexpr uint16_t kMaxHomes = 4096;

  // Packets, flows. Written by the loop with relaxed stores.
  struct Counters {
    std::atomic<uint64_t> hits{0};
    std::atomic<uint64_t> misses{0};
    std::atomic<uint64_t> inserts{0};
    std::atomic<uint64_t> evictions{0};
    std::atomic<uint64_t> full{0};     // packets steered by rss for want of room
    std::atomic<uint64_t> waiting{0};  // packets steered by rss because their flow is to get a home in Idle
    std::atomic<uint64_t> standin{0};  // packets that went to another kthread than their home's
    std::atomic<uint64_t> rebinds{0};  // homes that moved to another core
  };

  // Error: a sentence (no EAL memory, flows or max_kthreads out of bounds).
  static tl::expected<FlowAffinity, std::string> Make(const SteeringOptions& options);
  // Aborts where Make gives an error.
  explicit FlowAffinity(const SteeringOptions& options);
  FlowAffinity(FlowAffinity&&) noexcept;
  FlowAffinity& operator=(FlowAffinity&&) noexcept;
  ~FlowAffinity();

  void SteerBurst(const AppView& view, std::span<const uint32_t> hash, std::span<KthreadId> out, Ticks now,
                  Hints& hints);
  void OnActiveChange(const AppView& view);
  // Wishes for the core of the flow's home, if it has one.
  void Wish(uint32_t hash, Hints& hints) const;
  // Forgets idle flows after the table was found full. One unit: one flow forgotten, or eight looked at.
  // (And gives homes to those that wait for one: flow_affinity_hybrid.h. One unit: one flow, of up to 64 homes.)
  void Idle(uint32_t budget, Ticks now);

  // For the thread that owns the table at the time. Install: the flow's home (kAnyHome: the one it has, or that
  // with the fewest flows). Changing the home of a flow with packets on the way may reorder them.
  tl::expected<uint16_t, FlowError> Install(uint32_t hash, const FiveTuple& tuple, uint16_t home = kAnyHome);
  // Forgets an installed flow; its next packet is that of a new flow. False: no such flow is installed.
  [[nodiscard]] bool Remove(uint32_t hash, const FiveTuple& tuple);
  // Fills `out` with installed flows; returns how many. *cursor is at first 0xffffffff, then as it came back. Fewer
  // than asked: that was all. A flow that stays is listed, perhaps twice if others are removed in between.
  size_t List(uint32_t* cursor, std::span<InstalledFlow> out) const;
  // Where the next packet of a flow would go, and why; changes nothing.
  [[nodiscard]] SteeringAnswer Explain(const AppView& view, uint32_t hash) const;

  [[nodiscard]] const Counters& counters() const;
  [[nodiscard]] uint32_t flows() const;     // in the table
  [[nodiscard]] uint32_t capacity() const;  // most flows in the table
  [[nodiscard]] uint16_t homes() const;
  [[nodiscard]] CoreId HomeCore(uint16_t home) const;  // kNoCore: not bound yet
  [[nodiscard]] uint32_t HomeFlows(uint16_t home) const;
  // The flow's home; kAnyHome if it is not in the table.
  [[nodiscard]] uint16_t HomeOf(uint32_t hash) const;

  // EAL memory that a table for `flows` flows takes.
  static uint64_t MemoryBytes(uint32_t flows);
  // All memory of a table for `flows` flows but that of installed ones (24 bytes each, touched when used).
  static uint64_t TableBytes(uint32_t flows);

 protected:
  // Whether a new flow gets its home with its first packet, or in Idle.
  enum class Insertion : uint8_t { kAtOnce, kInIdle };
  struct State;
  static tl::expected<std::unique_ptr<State>, std::string> MakeState(const SteeringOptions& options,
                                                                     Insertion insertion, std::string_view name);
  explicit FlowAffinity(std::unique_ptr<State> state);

 private:
  std::unique_ptr<State> state_;
};

static_assert(SteeringPolicy<FlowAffinity>);

}  // namespace sluice
