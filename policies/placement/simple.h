// simple.h - an idle core if there is one, else a core of the app furthest above its guarantee.
//
// Idle cores: one that the app's steering wants, else one that the app had last, else any.
// Otherwise a core is taken from another app. Its owner
//   1. must hold more than its guarantee: no guarantee is ever broken;
//   2. must be best-effort and the asker latency-critical, unless the asker is below its own guarantee: then any
//      owner that satisfies 1 will do. So bursting apps of one priority never take cores from each other (that
//      would only swap them), and a best-effort app that bursts takes from nobody.
// Best-effort owners come first, then the one furthest above its guarantee. Of its cores: one that the asker's
// steering wants, else one that the asker had last, else the one granted last (the coldest; what an app has had
// for long, it keeps).
//
// Never starved: while the guarantees add up to at most the cores, an app below its own finds an idle core, or an
// owner above its guarantee, or else enough cores are already on their way from one app to another.
#pragma once

#include <tuple>

#include "policies/concepts.h"

namespace sluice {

class SimplePlacement {
 public:
  static constexpr std::string_view kName = "simple";
  static constexpr std::string_view kSummary =
      "idle cores (wanted, last used, any), else from who is most above its guarantee";

  PlacementChoice Choose(const MachineView& machine, AppId app) {
    const ShareView& asker = machine.apps[app];
    if (asker.held + asker.pending >= asker.max) return {};
    const CoreId idle = BestCore(machine, app, kNoApp);
    if (idle != kNoCore) return {idle, false};
    const AppId victim = Victim(machine, app);
    if (victim == kNoApp) return {};
    const CoreId taken = BestCore(machine, app, victim);
    return {taken, taken != kNoCore};
  }

 private:
  // Whom to take a core from; kNoApp: nobody may be asked.
  static AppId Victim(const MachineView& machine, AppId app) {
    const ShareView& asker = machine.apps[app];
    const bool entitled = asker.held + asker.pending < asker.guaranteed;
    const bool may_burst = asker.priority == Priority::kLatencyCritical;
    AppId victim = kNoApp;
    std::tuple<bool, int> best{false, 0};
    for (AppId other = 0; other < machine.apps.size(); other++) {
      const ShareView& share = machine.apps[other];
      const bool best_effort = share.priority == Priority::kBestEffort;
      if (other == app || !share.attached || share.held <= share.guaranteed) continue;
      if (!entitled && !(may_burst && best_effort)) continue;
      const std::tuple<bool, int> rank{best_effort, share.held - share.guaranteed};
      if (victim == kNoApp || rank > best) {
        best = rank;
        victim = other;
      }
    }
    return victim;
  }

  // The core of `owner` (kNoApp: idle ones) that suits `app` best and is not changing hands.
  static CoreId BestCore(const MachineView& machine, AppId app, AppId owner) {
    const CoreSet* wanted = machine.apps[app].wanted;
    CoreId core = kNoCore;
    std::tuple<bool, bool, Ticks> best{};
    for (CoreId id = 0; id < machine.cores.size(); id++) {
      const CoreView& candidate = machine.cores[id];
      if (candidate.owner != owner || candidate.promised != kNoApp || candidate.ceding) continue;
      const Ticks since = owner == kNoApp ? 0 : candidate.owned_since;
      const std::tuple<bool, bool, Ticks> rank{wanted != nullptr && wanted->test(id), candidate.last_owner == app,
                                               since};
      if (core == kNoCore || rank > best) {
        best = rank;
        core = id;
      }
    }
    return core;
  }
};

static_assert(PlacementPolicy<SimplePlacement>);

}  // namespace sluice
