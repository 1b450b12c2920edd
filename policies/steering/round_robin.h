// round_robin.h - the next active kthread, per packet.
//
// The cheap extreme: perfectly even, no affinity at all, and it reorders the packets of a flow. The turn goes on
// where it was when the active set changes.
#pragma once

#include "policies/concepts.h"
#include "policies/steering/flow.h"

namespace sluice {

class RoundRobin {
 public:
  static constexpr std::string_view kName = "round-robin";
  static constexpr std::string_view kSummary =
      "next active kthread, per packet: even load, no affinity, reorders flows";

  explicit RoundRobin(const SteeringOptions& /*options*/) {}

  void SteerBurst(const AppView& view, std::span<const uint32_t> hash, std::span<KthreadId> out, Ticks /*now*/,
                  Hints& /*hints*/) {
    if (view.active.empty()) {
      for (size_t i = 0; i < hash.size(); i++) out[i] = view.landing;
      return;
    }
    size_t turn = turn_ < view.active.size() ? turn_ : 0;
    for (size_t i = 0; i < hash.size(); i++) {
      out[i] = view.active[turn];
      if (++turn == view.active.size()) turn = 0;
    }
    turn_ = turn;
  }
  void OnActiveChange(const AppView& /*view*/) {}
  void Idle(uint32_t /*budget*/, Ticks /*now*/) {}
  [[nodiscard]] SteeringAnswer Explain(const AppView& view, uint32_t /*hash*/) const {
    if (view.active.empty()) return {.kthread = view.landing, .reason = SteeringReason::kLanding};
    return {.kthread = view.active[turn_ < view.active.size() ? turn_ : 0], .reason = SteeringReason::kTurn};
  }

 private:
  size_t turn_ = 0;  // index into AppView::active of the next packet's kthread
};

static_assert(SteeringPolicy<RoundRobin>);

}  // namespace sluice
