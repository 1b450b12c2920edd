// flow_table.h - a slot per kthread: an active kthread keeps its own slot, the slots of parked ones go round.
//
// Caladan's small indirection table. hash % max_kthreads names the slot; the slot of a kthread that is parked is
// served by an active one, dealt out in turn, in the order in which they became active. So flows whose own kthread
// stays active keep it whoever comes or goes, without a table of flows; the others move with the turns, and what
// moves may overtake. One table look-up a packet; a change of the active kthreads costs one pass over the slots.
#pragma once

#include <vector>

#include "policies/concepts.h"
#include "policies/steering/flow.h"

namespace sluice {

class FlowTable {
 public:
  static constexpr std::string_view kName = "flow-table";
  static constexpr std::string_view kSummary = "a slot per kthread: active ones keep theirs, parked ones' go round";

  explicit FlowTable(const SteeringOptions& options) : slots_(options.max_kthreads, kNoKthread) {}

  void SteerBurst(const AppView& view, std::span<const uint32_t> hash, std::span<KthreadId> out, Ticks /*now*/,
                  Hints& /*hints*/) {
    if (slots_.front() == kNoKthread) OnActiveChange(view);  // made while kthreads ran already
    const auto count = static_cast<uint32_t>(slots_.size());
    for (size_t i = 0; i < hash.size(); i++) out[i] = slots_[hash[i] % count];
  }
  void OnActiveChange(const AppView& view) {
    size_t turn = 0;
    for (KthreadId k = 0; k < slots_.size(); k++) {
      if (view.active.empty()) {
        slots_[k] = view.landing;
      } else if (view.kthreads[k].steerable) {
        slots_[k] = k;
      } else {
        slots_[k] = view.active[turn];
        if (++turn == view.active.size()) turn = 0;
      }
    }
  }
  void Idle(uint32_t /*budget*/, Ticks /*now*/) {}
  [[nodiscard]] SteeringAnswer Explain(const AppView& view, uint32_t hash) const {
    if (view.active.empty()) return {.kthread = view.landing, .reason = SteeringReason::kLanding};
    const uint32_t slot = hash % static_cast<uint32_t>(slots_.size());
    const bool own = slots_[slot] == slot;
    return {.kthread = slots_[slot], .reason = own ? SteeringReason::kOwnSlot : SteeringReason::kParkedSlot};
  }

 private:
  std::vector<KthreadId> slots_;  // by hash % max_kthreads
};

static_assert(SteeringPolicy<FlowTable>);

}  // namespace sluice
