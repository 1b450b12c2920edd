// null.h - picks nobody: no kthread ever runs. For tests.
#pragma once

#include "policies/concepts.h"

namespace sluice {

class NullPick {
 public:
  static constexpr std::string_view kName = "null";
  static constexpr std::string_view kSummary = "picks nobody";

  NullPick(uint16_t /*kthreads*/, std::span<const CoreId> /*sibling*/) {}

  KthreadId Pick(const AppView& /*view*/, CoreId /*core*/) { return kNoKthread; }
  void OnRun(KthreadId /*k*/, CoreId /*core*/) {}
  void OnPark(KthreadId /*k*/, CoreId /*core*/) {}
};

static_assert(PickPolicy<NullPick>);

}  // namespace sluice
