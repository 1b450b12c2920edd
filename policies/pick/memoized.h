// memoized.h - remembers per core the kthread that ran there last: every operation but construction is O(1).
//
// Rule: last_run[core] if that kthread is parked and its last core is still this core, else the same for the
// sibling, else the least recently used. Source: Danian, whose listing dereferences an empty entry and believes
// a stale one; here both fall through to the next rule.
//
// An entry is stale when its kthread runs, or has run elsewhere since (a kthread that moved sits in the slots of
// all cores it ever ran on). Only then may the choice differ from `scan`, which could still find an older kthread
// of that core: one slot per core remembers only the latest.
#pragma once

#include "policies/concepts.h"
#include "policies/pick/idle_list.h"

namespace sluice {

class MemoizedPick {
 public:
  static constexpr std::string_view kName = "memoized";
  static constexpr std::string_view kSummary = "remembers per core who ran there, O(1)";

  MemoizedPick(uint16_t kthreads, std::span<const CoreId> sibling)
      : sibling_(sibling), last_run_(sibling.size(), kNoKthread), idle_(kthreads) {}

  KthreadId Pick(const AppView& /*view*/, CoreId core) {
    if (IsFresh(core)) return last_run_[core];
    const CoreId sibling = sibling_[core];
    if (sibling != kNoCore && IsFresh(sibling)) return last_run_[sibling];
    return idle_.LeastRecent();
  }
  void OnRun(KthreadId k, CoreId core) {
    last_run_[core] = k;
    idle_.OnRun(k, core);
  }
  void OnPark(KthreadId k, CoreId core) { idle_.OnPark(k, core); }

  // The entry of `core` names a parked kthread that ran on no other core since. Then `scan` chooses it, too.
  [[nodiscard]] bool IsFresh(CoreId core) const {
    const KthreadId k = last_run_[core];
    return k != kNoKthread && idle_.IsIdle(k) && idle_.LastCore(k) == core;
  }

 private:
  std::span<const CoreId> sibling_;  // by CoreId
  std::vector<KthreadId> last_run_;  // by CoreId
  IdleList idle_;
};

static_assert(PickPolicy<MemoizedPick>);

}  // namespace sluice
