// null.h - gives no core to anybody. For tests.
#pragma once

#include "policies/concepts.h"

namespace sluice {

class NullPlacement {
 public:
  static constexpr std::string_view kName = "null";
  static constexpr std::string_view kSummary = "gives no core to anybody";

  PlacementChoice Choose(const MachineView& /*machine*/, AppId /*app*/) { return {}; }
};

static_assert(PlacementPolicy<NullPlacement>);

}  // namespace sluice
