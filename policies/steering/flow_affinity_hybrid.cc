// flow_affinity_hybrid.cc - making it; all else is flow-affinity's.
#include "policies/steering/flow_affinity_hybrid.h"

#include <utility>

#include "iokernel/abi/check.h"
#include "policies/steering/flow_affinity_state.h"

namespace sluice {

tl::expected<FlowAffinityHybrid, std::string> FlowAffinityHybrid::Make(const SteeringOptions& options) {
  return MakeState(options, Insertion::kInIdle, kName).map([](std::unique_ptr<State> state) {
    return FlowAffinityHybrid(std::move(state));
  });
}

FlowAffinityHybrid::FlowAffinityHybrid(std::unique_ptr<State> state) : FlowAffinity(std::move(state)) {}

FlowAffinityHybrid::FlowAffinityHybrid(const SteeringOptions& options)
    : FlowAffinityHybrid([&] {
        auto made = MakeState(options, Insertion::kInIdle, kName);
        SLUICE_CHECK(made.has_value(), made.error().c_str());
        return std::move(*made);
      }()) {}

}  // namespace sluice
