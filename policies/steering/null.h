// null.h - steers everything to the first active kthread. For tests, and as a variant's empty state.
#pragma once

#include "policies/concepts.h"

namespace sluice {

class NullSteering {
 public:
  static constexpr std::string_view kName = "null";
  static constexpr std::string_view kSummary = "everything to the first active kthread";

  NullSteering() = default;
  explicit NullSteering(const SteeringOptions& /*options*/) {}

  void SteerBurst(const AppView& view, std::span<const uint32_t> hash, std::span<KthreadId> out, Ticks /*now*/,
                  Hints& /*hints*/) {
    const KthreadId target = view.active.empty() ? view.landing : view.active.front();
    for (size_t i = 0; i < hash.size(); i++) out[i] = target;
  }
  void OnActiveChange(const AppView& /*view*/) {}
  void Idle(uint32_t /*budget*/, Ticks /*now*/) {}
};

static_assert(SteeringPolicy<NullSteering>);

}  // namespace sluice
