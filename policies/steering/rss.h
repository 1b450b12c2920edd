// rss.h - active[hash % n_active], the rule of Shenango.
//
// The baseline: no state, no memory, one modulo. When the number of active kthreads goes from n to n+1, a flow
// keeps its kthread only if hash % n == hash % (n+1): n of n+1 flows move.
#pragma once

#include "policies/concepts.h"
#include "policies/steering/flow.h"

namespace sluice {

class Rss {
 public:
  static constexpr std::string_view kName = "rss";
  static constexpr std::string_view kSummary = "active[hash % active]: cheap, moves most flows when cores come and go";

  explicit Rss(const SteeringOptions& /*options*/) {}

  void SteerBurst(const AppView& view, std::span<const uint32_t> hash, std::span<KthreadId> out, Ticks /*now*/,
                  Hints& /*hints*/) {
    if (view.active.empty()) {
      for (size_t i = 0; i < hash.size(); i++) out[i] = view.landing;
      return;
    }
    // 32-bit operands: a 64-bit division costs several times as much on older cores.
    const auto count = static_cast<uint32_t>(view.active.size());
    for (size_t i = 0; i < hash.size(); i++) out[i] = view.active[hash[i] % count];
  }
  void OnActiveChange(const AppView& /*view*/) {}
  void Idle(uint32_t /*budget*/, Ticks /*now*/) {}
  [[nodiscard]] SteeringAnswer Explain(const AppView& view, uint32_t hash) const {
    if (view.active.empty()) return {.kthread = view.landing, .reason = SteeringReason::kLanding};
    return {.kthread = view.active[hash % static_cast<uint32_t>(view.active.size())], .reason = SteeringReason::kHash};
  }
};

static_assert(SteeringPolicy<Rss>);

}  // namespace sluice
