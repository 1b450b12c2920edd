#include "apps/simulator/engine/placement_replay.h"

#include <algorithm>

namespace sluice::sim {

PlacementReplay::PlacementReplay(const AllocatorOptions& options, std::string_view asked, PlacementComparison* result)
    : result_(*result),
      machine_(options.cores, options.nic_node),
      recorded_(MakePlacement(options.placement)),
      asked_(MakePlacement(asked)) {}

void PlacementReplay::On(const record::RecordAttach& r) {
  Detach(r.head.app);
  machine_.Attach(r.head.app, {.guaranteed = r.guaranteed,
                               .max = r.kthreads,
                               .priority = r.best_effort != 0 ? Priority::kBestEffort : Priority::kLatencyCritical,
                               .wanted = &wish_});
}

void PlacementReplay::Detach(AppId app) {
  if (Attached(app)) machine_.Detach(app);
}

void PlacementReplay::On(const record::RecordGrant& r) {
  const AppId app = r.head.app;
  if (!Attached(app)) return;
  if (Core(r.core).owner != kNoApp) Free(r.core);
  if (r.promised == 0 && r.cause != record::Cause::kSnapshot) {
    // An app that already had all it may have, promises included, has let one of these go for the idle core.
    const ShareView& share = machine_.view().apps[app];
    for (CoreId core = 0; share.pending > 0 && share.held + share.pending >= share.max; ++core) {
      if (Core(core).promised == app) machine_.DropPromise(core);
    }
    Compare(app, r.core, r.head.time);
  }
  machine_.Grant(r.core, app, r.kthread, r.head.time);
}

void PlacementReplay::On(const record::RecordCede& r) {
  const CoreView& core = Core(r.core);
  if (core.owner != r.head.app || core.ceding) return;
  if (Attached(r.heir) && core.promised == kNoApp) {
    Compare(r.heir, r.core, r.head.time);
    machine_.Promise(r.core, r.heir);
  }
  machine_.Cede(r.core);
}

void PlacementReplay::Left(AppId app, CoreId core) {
  if (Core(core).owner == app) Free(core);
}

// Who was promised it is granted it next, or does not want it any more.
void PlacementReplay::Free(CoreId core) {
  if (Core(core).promised != kNoApp) machine_.DropPromise(core);
  machine_.Free(core);
}

void PlacementReplay::Compare(AppId app, CoreId core, Ticks time) {
  result_.decisions++;
  wish_.reset();
  const bool follows = recorded_->Choose(machine_.view(), app).core == core;
  if (!follows) wish_.set(core);
  if (!follows && recorded_->Choose(machine_.view(), app).core != core) {
    result_.unseen++;
    return;
  }
  const PlacementChoice choice = asked_->Choose(machine_.view(), app);
  if (choice.core == core) return;
  const auto source = [&](CoreId c) { return CoreSource{c, c == kNoCore ? kNoApp : Core(c).owner}; };
  const PlacementChange change{time, app, source(core), source(choice.core)};
  if (choice.core == kNoCore) {
    result_.none++;
  } else {
    (change.recorded.from == change.asked.from ? result_.other_core : result_.other_owner)++;
  }
  if (result_.first.size() < PlacementComparison::kFirst) result_.first.push_back(change);
}

}  // namespace sluice::sim
