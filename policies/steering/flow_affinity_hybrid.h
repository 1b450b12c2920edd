// flow_affinity_hybrid.h - flow-affinity whose new flows cost nothing but a failed lookup: they get their home later.
//
// A packet whose flow is not in the table goes by the `rss` rule, and the flow is noted. Idle, off the critical
// path, gives noted flows their homes, in batches: each the home with the fewest flows *of those whose packets go
// to the kthread that has the flow's packets already*. So getting a home moves no packet and none is overtaken.
// The price: homes fill as evenly as `rss` spreads the flows, not perfectly, and until a flow has its home it moves
// when the active kthreads change; the notes of such a change are dropped, the flow's next packet makes a new one.
// Everything else is flow-affinity. Source: the future work of Calisto, whose early penalty it avoids.
#pragma once

#include "policies/steering/flow_affinity.h"

namespace sluice {

class FlowAffinityHybrid : public FlowAffinity {
 public:
  static constexpr std::string_view kName = "flow-affinity-hybrid";
  static constexpr std::string_view kSummary = "as flow-affinity, but new flows go by rss and get their home later";

  static tl::expected<FlowAffinityHybrid, std::string> Make(const SteeringOptions& options);
  // Aborts where Make gives an error.
  explicit FlowAffinityHybrid(const SteeringOptions& options);

 private:
  explicit FlowAffinityHybrid(std::unique_ptr<State> state);
};

static_assert(SteeringPolicy<FlowAffinityHybrid>);

}  // namespace sluice
