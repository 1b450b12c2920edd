// placement_replay.h - which core an app got, and whom it was taken from: as recorded, and as another policy would.
//
// The shadow of the machine follows the log: who has which core, who had it last, what is promised to whom. What
// steering wished (Hints::wanted) is not in the log: where the recorded choice follows only from a wish for that core,
// the policy that is asked is shown the same wish. A choice that does not follow even then depended on something from
// before the log, or on a promise that was changed: it is counted as unseen and compared with nothing.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "iokernel/brain/allocator.h"
#include "iokernel/brain/record_format.h"
#include "policies/machine.h"
#include "policies/registry.h"

namespace sluice::sim {

// A core, and whose it was; kNoApp: it was idle. kNoCore: none was to be had.
struct CoreSource {
  CoreId core = kNoCore;
  AppId from = kNoApp;
};

struct PlacementChange {
  Ticks time = 0;
  AppId app = kNoApp;
  CoreSource recorded, asked;
};

struct PlacementComparison {
  static constexpr size_t kFirst = 10;

  uint64_t decisions = 0;
  uint64_t unseen = 0;
  uint64_t other_core = 0;             // of the same owner, or idle like the recorded one
  uint64_t other_owner = 0;            // taken from somebody else
  uint64_t none = 0;                   // the policy would have given no core
  std::vector<PlacementChange> first;  // of those that differ
  [[nodiscard]] uint64_t Differ() const { return other_core + other_owner + none; }
};

class PlacementReplay {
 public:
  PlacementReplay(const AllocatorOptions& options, std::string_view asked, PlacementComparison* result);

  void On(const record::RecordAttach& r);
  void On(const record::RecordDetach& r) { Detach(r.head.app); }
  void On(const record::RecordGrant& r);
  void On(const record::RecordCede& r);
  // The app gives the core back, or has lost it.
  void Left(AppId app, CoreId core);

 private:
  [[nodiscard]] const CoreView& Core(CoreId core) const { return machine_.view().cores[core]; }
  [[nodiscard]] bool Attached(AppId app) const { return app < kMaxApps && machine_.view().apps[app].attached; }
  void Detach(AppId app);
  void Free(CoreId core);
  void Compare(AppId app, CoreId core, Ticks time);

  PlacementComparison& result_;
  sluice::Machine machine_;
  CoreSet wish_;
  std::unique_ptr<PlacementInterface> recorded_, asked_;
};

}  // namespace sluice::sim
