// scan.h - walks the idle list: the kthread that ran on this core last, else on its sibling, else the least
// recently used. O(n) in the parked kthreads; the rule of Caladan.
//
// Where several parked kthreads ran here last, the one that parked most recently is taken.
#pragma once

#include "policies/concepts.h"
#include "policies/pick/idle_list.h"

namespace sluice {

class ScanPick {
 public:
  static constexpr std::string_view kName = "scan";
  static constexpr std::string_view kSummary = "walks the idle list for one that ran here, O(n)";

  ScanPick(uint16_t kthreads, std::span<const CoreId> sibling) : sibling_(sibling), idle_(kthreads) {}

  KthreadId Pick(const AppView& /*view*/, CoreId core) {
    const CoreId sibling = sibling_[core];
    KthreadId beside = kNoKthread;
    for (KthreadId k = idle_.MostRecent(); k != kNoKthread; k = idle_.Older(k)) {
      const CoreId last = idle_.LastCore(k);
      if (last == core) return k;
      // A kthread that never ran has kNoCore, which is also what a core without a sibling names.
      if (last == sibling && last != kNoCore && beside == kNoKthread) beside = k;
    }
    return beside != kNoKthread ? beside : idle_.LeastRecent();
  }
  void OnRun(KthreadId k, CoreId core) { idle_.OnRun(k, core); }
  void OnPark(KthreadId k, CoreId core) { idle_.OnPark(k, core); }

 private:
  std::span<const CoreId> sibling_;  // by CoreId
  IdleList idle_;
};

static_assert(PickPolicy<ScanPick>);

}  // namespace sluice
