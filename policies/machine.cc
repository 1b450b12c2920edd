// machine.cc - the sets and lists of a MachineView, kept in step with who has which core.
#include "policies/machine.h"

#include <algorithm>

#include "iokernel/abi/check.h"

namespace sluice {

Machine::Machine(std::span<const CoreSpec> cores, uint16_t nic_node)
    : shares_(kMaxApps), app_cores_(kMaxApps), idle_cores_(static_cast<uint16_t>(cores.size())) {
  SLUICE_CHECK(!cores.empty() && cores.size() <= kMaxCores, "core slots outside the bounds of views.h");
  for (const CoreSpec& spec : cores) {
    SLUICE_CHECK(spec.sibling == kNoCore || spec.sibling < cores.size(), "a sibling that is no core slot");
    const auto core = static_cast<CoreId>(cores_.size());
    cores_.push_back({.sibling = spec.sibling, .node = spec.node, .cpu = spec.cpu});
    idle_.set(core);
    near_.set(core, spec.node == nic_node);
  }
  attached_.reserve(kMaxApps);
  view_ = {.cores = cores_,
           .apps = shares_,
           .attached = {},
           .app_cores = app_cores_,
           .idle = &idle_,
           .near_nic = &near_,
           .beside_latency_critical = &beside_[static_cast<size_t>(Priority::kLatencyCritical)],
           .beside_best_effort = &beside_[static_cast<size_t>(Priority::kBestEffort)]};
}

void Machine::Attach(AppId app, const ShareView& share) {
  SLUICE_CHECK(app < shares_.size() && !shares_[app].attached, "an app that is attached already");
  shares_[app] = share;
  shares_[app].attached = true;
  app_cores_[app] = {};
  attached_.push_back(app);
  view_.attached = attached_;
}

void Machine::Detach(AppId app) {
  for (CoreId core = 0; core < cores_.size(); core++) {
    if (cores_[core].promised == app) DropPromise(core);
    if (cores_[core].owner == app) {
      if (cores_[core].promised != kNoApp) DropPromise(core);
      Free(core);
    }
    // The id may be another app's next.
    if (cores_[core].last_owner == app) cores_[core].last_owner = kNoApp;
  }
  shares_[app] = {};
  app_cores_[app] = {};
  std::erase(attached_, app);
  view_.attached = attached_;
}

void Machine::Grant(CoreId core, AppId app, KthreadId kthread, Ticks now) {
  CoreView& c = cores_[core];
  SLUICE_CHECK(idle_.test(core), "a grant of a core that is not free");
  c.owner = app;
  c.kthread = kthread;
  c.owned_since = now;
  idle_.reset(core);
  idle_cores_--;
  shares_[app].held++;
  AddToHeld(core);
  SetBeside(core, true);
}

void Machine::Cede(CoreId core) {
  SLUICE_CHECK(cores_[core].owner != kNoApp && !cores_[core].ceding, "a core that nobody has, or that is ceding");
  Leave(core);
  cores_[core].ceding = true;
}

void Machine::Free(CoreId core) {
  CoreView& c = cores_[core];
  SLUICE_CHECK(c.owner != kNoApp, "a core that nobody has");
  if (!c.ceding) Leave(core);
  SetBeside(core, false);
  if (c.last_owner != kNoApp) app_cores_[c.last_owner].last.reset(core);
  c.last_owner = c.owner;
  app_cores_[c.owner].last.set(core);
  c.owner = kNoApp;
  c.kthread = kNoKthread;
  c.ceding = false;
  idle_cores_++;
  idle_.set(core, c.promised == kNoApp);
}

void Machine::Promise(CoreId core, AppId app) {
  CoreView& c = cores_[core];
  SLUICE_CHECK(c.promised == kNoApp, "a core that is promised to another");
  if (c.owner != kNoApp && !c.ceding) RemoveFromHeld(core);
  c.promised = app;
  idle_.reset(core);
  shares_[app].pending++;
}

void Machine::DropPromise(CoreId core) {
  CoreView& c = cores_[core];
  SLUICE_CHECK(c.promised != kNoApp, "a core that is promised to nobody");
  shares_[c.promised].pending--;
  c.promised = kNoApp;
  if (c.owner == kNoApp) {
    idle_.set(core);
  } else if (!c.ceding) {
    AddToHeld(core);
  }
}

// ---------------------------------------------------------------------------------------------------------------

// The owner does not count on it any more.
void Machine::Leave(CoreId core) {
  shares_[cores_[core].owner].held--;
  if (cores_[core].promised == kNoApp) RemoveFromHeld(core);
}

// As the newest. (A core whose promise was dropped is the newest again: it was the one to go.)
void Machine::AddToHeld(CoreId core) {
  CoreView& c = cores_[core];
  AppCores& of = app_cores_[c.owner];
  of.held.set(core);
  c.newer = kNoCore;
  c.older = of.newest;
  if (of.newest != kNoCore) cores_[of.newest].newer = core;
  of.newest = core;
}

void Machine::RemoveFromHeld(CoreId core) {
  CoreView& c = cores_[core];
  AppCores& of = app_cores_[c.owner];
  of.held.reset(core);
  if (c.older != kNoCore) cores_[c.older].newer = c.newer;
  if (c.newer != kNoCore) cores_[c.newer].older = c.older;
  if (of.newest == core) of.newest = c.older;
  c.older = c.newer = kNoCore;
}

void Machine::SetBeside(CoreId core, bool value) {
  const CoreView& c = cores_[core];
  if (c.sibling == kNoCore) return;
  beside_[static_cast<size_t>(shares_[c.owner].priority)].set(c.sibling, value);
  app_cores_[c.owner].beside.set(c.sibling, value);
}

}  // namespace sluice
