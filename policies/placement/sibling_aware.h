// sibling_aware.h - whole physical cores for latency-critical apps, as far as there are any.
//
// Two hyperthreads share the units of one core, so whoever runs beside slows its neighbour down. A latency-critical
// app gets a core whose sibling is idle (or not managed here), else one beside itself, else one beside a best-effort
// app. A best-effort app gets one beside a best-effort app, so that it fills what is broken already, else a whole
// core; one beside a latency-critical app comes last. Then the rules of choice.h. Nobody is moved for it.
#pragma once

#include "policies/concepts.h"
#include "policies/placement/choice.h"

namespace sluice {

class SiblingAwarePlacement {
 public:
  static constexpr std::string_view kName = "sibling-aware";
  static constexpr std::string_view kSummary = "as simple, but whole physical cores for latency-critical apps first";

  PlacementChoice Choose(const MachineView& machine, AppId app) {
    return ChooseBy(machine, app, [&](CoreSet& among) {
      const CoreSet& critical = *machine.beside_latency_critical;
      const CoreSet& best_effort = *machine.beside_best_effort;
      if (machine.apps[app].priority == Priority::kLatencyCritical) {
        Prefer(among, ~(critical | best_effort));
        Prefer(among, machine.app_cores[app].beside);
        Prefer(among, best_effort);
      } else {
        Prefer(among, best_effort);
        Prefer(among, ~critical);
      }
    });
  }
};

static_assert(PlacementPolicy<SiblingAwarePlacement>);

}  // namespace sluice
