// choice.h - what the placement policies share: whom to take a core from, and choosing by preferences.
//
// A core is idle, or it is taken from another app. Its owner
//   1. must hold more than its guarantee: no guarantee is ever broken;
//   2. and either the asker is below its own guarantee; or the owner is best-effort and the asker is not; or the asker
//      has no core at all and the owner, of no higher priority, keeps one. So bursting apps of one priority do not
//      take cores from each other (that would only swap them), but no burst shuts another app out.
// Best-effort owners come first, then the one furthest above its guarantee; of equals the lowest id.
//
// Never starved: while the guarantees add up to at most the cores, an app below its own finds an idle core, or an
// owner above its guarantee, or else enough cores are already on their way from one app to another.
//
// Of the idle cores, or of the owner's, a policy's own preference comes first; then one that the asker's steering
// wants, then one that the asker had last; then of the idle ones any, of the owner's the one granted last (the
// coldest; what an app has had for long, it keeps). Sets of cores: the cost hardly grows with their number.
#pragma once

#include <tuple>

#include "policies/views.h"

namespace sluice {

// Leaves only those that are also in `set`, if there are any.
inline void Prefer(CoreSet& among, const CoreSet& set) {
  const CoreSet both = among & set;
  if (both.any()) among = both;
}

// Whom to take a core from; kNoApp: nobody may be asked.
inline AppId Victim(const MachineView& machine, AppId app) {
  const ShareView& asker = machine.apps[app];
  const bool entitled = asker.held + asker.pending < asker.guaranteed;
  const bool critical = asker.priority == Priority::kLatencyCritical;
  const bool shut_out = asker.held + asker.pending == 0;
  if (!entitled && !critical && !shut_out) return kNoApp;
  AppId victim = kNoApp;
  std::tuple<bool, int, int> best{};
  for (const AppId other : machine.attached) {
    const ShareView& share = machine.apps[other];
    const bool best_effort = share.priority == Priority::kBestEffort;
    if (other == app || share.held <= share.guaranteed) continue;
    const bool yields = best_effort && critical;
    const bool shares = shut_out && share.held > 1 && (critical || best_effort);
    if (!entitled && !yields && !shares) continue;
    if (machine.app_cores[other].newest == kNoCore) continue;  // all it has is changing hands
    const std::tuple<bool, int, int> rank{best_effort, share.held - share.guaranteed, -int{other}};
    if (victim == kNoApp || rank > best) {
      best = rank;
      victim = other;
    }
  }
  return victim;
}

// The one of `among`, cores of `owner`, that was granted last: a few are looked at, many are met soon from the newest.
inline CoreId NewestOf(const MachineView& machine, AppId owner, const CoreSet& among) {
  constexpr size_t kFew = 16;
  CoreId core = machine.app_cores[owner].newest;
  if (among.test(core)) return core;
  if (among.count() > kFew) {
    while (!among.test(core)) core = machine.cores[core].older;
    return core;
  }
  core = static_cast<CoreId>(among._Find_first());
  for (size_t next = core; next < among.size(); next = among._Find_next(next)) {
    if (machine.cores[next].owned_since > machine.cores[core].owned_since) core = static_cast<CoreId>(next);
  }
  return core;
}

// prefer(CoreSet& among) narrows the cores to those that the policy likes best.
template <class Preference>
PlacementChoice ChooseBy(const MachineView& machine, AppId app, Preference&& prefer) {
  const ShareView& asker = machine.apps[app];
  if (asker.held + asker.pending >= asker.max) return {};
  const bool idle = machine.idle->any();
  const AppId victim = idle ? kNoApp : Victim(machine, app);
  if (!idle && victim == kNoApp) return {};
  CoreSet among = idle ? *machine.idle : machine.app_cores[victim].held;
  prefer(among);
  if (asker.wanted != nullptr) Prefer(among, *asker.wanted);
  Prefer(among, machine.app_cores[app].last);
  if (idle) return {static_cast<CoreId>(among._Find_first()), false};
  return {NewestOf(machine, victim, among), true};
}

}  // namespace sluice
