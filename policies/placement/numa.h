// numa.h - the NIC's node first, for latency-critical apps: their packets need not cross to another.
//
// A best-effort app gets a core of another node first, which leaves the near ones to others. Then the rules of
// choice.h. Which core is on which node is said when the machine is described (CoreSpec), which node is the NIC's, too.
#pragma once

#include "policies/concepts.h"
#include "policies/placement/choice.h"

namespace sluice {

class NumaPlacement {
 public:
  static constexpr std::string_view kName = "numa";
  static constexpr std::string_view kSummary = "as simple, but the NIC's node first for latency-critical apps";

  PlacementChoice Choose(const MachineView& machine, AppId app) {
    const bool critical = machine.apps[app].priority == Priority::kLatencyCritical;
    return ChooseBy(machine, app,
                    [&](CoreSet& among) { Prefer(among, critical ? *machine.near_nic : ~*machine.near_nic); });
  }
};

static_assert(PlacementPolicy<NumaPlacement>);

}  // namespace sluice
