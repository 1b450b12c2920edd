// simple.h - an idle core if there is one, else a core of the app furthest above its guarantee.
//
// No preference of its own: wanted by the asker's steering, else last used by it, else any, or the one granted last.
// The rules are those of choice.h.
#pragma once

#include "policies/concepts.h"
#include "policies/placement/choice.h"

namespace sluice {

class SimplePlacement {
 public:
  static constexpr std::string_view kName = "simple";
  static constexpr std::string_view kSummary =
      "idle cores (wanted, last used, any), else from who is most above its guarantee";

  PlacementChoice Choose(const MachineView& machine, AppId app) {
    return ChooseBy(machine, app, [](CoreSet& /*among*/) {});
  }
};

static_assert(PlacementPolicy<SimplePlacement>);

}  // namespace sluice
