// lru.h - the least recently used kthread, whatever core it ran on: the baseline without cache affinity. O(1).
#pragma once

#include "policies/concepts.h"
#include "policies/pick/idle_list.h"

namespace sluice {

class LruPick {
 public:
  static constexpr std::string_view kName = "lru";
  static constexpr std::string_view kSummary = "the least recently used, whatever core it ran on, O(1)";

  LruPick(uint16_t kthreads, std::span<const CoreId> /*sibling*/) : idle_(kthreads) {}

  KthreadId Pick(const AppView& /*view*/, CoreId /*core*/) { return idle_.LeastRecent(); }
  void OnRun(KthreadId k, CoreId core) { idle_.OnRun(k, core); }
  void OnPark(KthreadId k, CoreId core) { idle_.OnPark(k, core); }

 private:
  IdleList idle_;
};

static_assert(PickPolicy<LruPick>);

}  // namespace sluice
