// world_checks.cc - the invariants of allocator.h, from the puppets' point of view.
#include <algorithm>

#include "tests/sim/world.h"

namespace sluice::test {

void World::Fail(const std::string& what) {
  if (failure_.empty()) failure_ = what;
}

bool World::HasCore(const App& app, KthreadId k) { return (*app.puppet)[k].Granted() || (*app.puppet)[k].running(); }

void World::CheckFlushed() {
  if (put_off_ != 0) Fail("a wake-up or a signal that nobody told the backend to carry out");
}

void World::Check() {
  CheckCores();
  bool idle_core = false;
  for (const CoreView& core : allocator_->cores()) idle_core |= core.owner == kNoApp;
  for (AppId id = 0; id < apps_.size(); id++) {
    App& app = apps_[id];
    if (app.puppet == nullptr) continue;
    CheckViews(app, id);
    WatchQueues(app);
    if (!app.liar && app.detach_in == 0) CheckLiveness(app, id, idle_core);
  }
}

// Invariants 1 and 2, and that the books agree with each other.
void World::CheckCores() {
  constexpr Ticks kCedeSlack = 20'000;  // passes are some thousand ticks apart, and clocks may go back
  const auto cores = allocator_->cores();
  std::vector<int> holders(cores.size());
  for (AppId id = 0; id < apps_.size(); id++) {
    const App& app = apps_[id];
    for (KthreadId k = 0; k < app.kthreads.size(); k++) {
      if (app.liar || app.kthreads[k].evicted || !HasCore(app, k)) continue;
      const uint32_t core = (*app.puppet)[k].grant.core.load();
      if (core >= cores.size()) return Fail("a grant of a core that does not exist");
      if (++holders[core] > 1) return Fail("invariant 1: two kthreads on core " + std::to_string(core));
      if (cores[core].owner != id || cores[core].kthread != k) return Fail("invariant 1: a kthread on another's core");
    }
  }
  // A core is never lost: its owner knows of it, or is about to hear that it has parked.
  for (CoreId c = 0; c < cores.size(); c++) {
    const App* owner = cores[c].owner == kNoApp ? nullptr : &apps_[cores[c].owner];
    if (owner != nullptr && owner->puppet == nullptr) return Fail("a core of an app that is gone");
    const bool known = owner == nullptr || owner->liar || HasCore(*owner, cores[c].kthread);
    lost_passes_[c] = known ? 0 : lost_passes_[c] + 1;
    if (lost_passes_[c] > 2) return Fail("core " + std::to_string(c) + " is lost");
    // A kthread that does not answer loses its core within the bound.
    const uint64_t grant = owner == nullptr ? 0 : allocator_->grants(cores[c].owner, cores[c].kthread);
    const Ceding seen{cores[c].owner, cores[c].kthread, grant};
    if (!cores[c].ceding || !ceding_[c].SameGrant(seen)) ceding_[c] = seen;
    if (cores[c].ceding && ceding_[c].since == 0) ceding_[c].since = now_;
    const Ticks ceding = cores[c].ceding && now_ > ceding_[c].since ? now_ - ceding_[c].since : 0;
    if (!options_.shared_cpus && ceding > options_.cede_give_up + kCedeSlack) {
      return Fail("core " + std::to_string(c) + " was asked for and has not come back within the bound" + State());
    }
    // The word first; the pass that finds the grace over sends the signal, and a later one sends it again.
    if (cores[c].ceding) {
      const bool first = ceding_[c].signalled == 0;
      const Ticks last = first ? ceding_[c].since : ceding_[c].signalled;
      if (now_ > last && now_ - last >= (first ? options_.cede_grace : options_.cede_resend)) {
        return Fail("core " + std::to_string(c) + " was asked for, and its kthread is not signalled" + State());
      }
    }
  }
  uint32_t guaranteed = 0;
  for (AppId id = 0; id < apps_.size(); id++) {
    const ShareView& share = allocator_->share(id);
    if (share.attached != (apps_[id].puppet != nullptr)) return Fail("attached, and not");
    guaranteed += share.guaranteed;
    uint16_t held = 0, pending = 0;
    for (CoreId c = 0; c < cores.size(); c++) {
      held += cores[c].owner == id && !cores[c].ceding;
      pending += cores[c].promised == id;
      if (cores[c].promised != kNoApp && !cores[c].ceding) return Fail("promised, but nobody was asked for it");
    }
    if (held != share.held || pending != share.pending) return Fail("held or pending do not add up");
    if (held + pending > share.max) return Fail("more cores than kthreads");
  }
  if (guaranteed > cores.size()) Fail("invariant 2: more is guaranteed than there is");
}

// Invariant 4.
void World::CheckViews(App& app, AppId id) {
  const AppView& view = allocator_->View(id);
  uint32_t steerable = 0;
  for (KthreadId k = 0; k < view.kthreads.size(); k++) {
    const KthreadView& kthread = view.kthreads[k];
    steerable += kthread.steerable;
    if (kthread.steerable != (std::count(view.active.begin(), view.active.end(), k) == 1)) {
      return Fail("invariant 4: active and steerable disagree");
    }
    if (kthread.steerable && (kthread.parked || allocator_->cores()[kthread.core].ceding)) {
      return Fail("invariant 4: steerable after a park or a cede");
    }
    if (!kthread.parked && !app.kthreads[k].evicted && view.on_core[kthread.core] != k) {
      return Fail("on_core does not know who is there");
    }
  }
  if (steerable != view.active.size()) Fail("invariant 4: active has more than the steerable ones");
  if (allocator_->share(id).held > 0 && view.active.empty()) Fail("invariant 4: a core, and nobody to steer to");
  if (view.landing >= view.kthreads.size()) Fail("no landing kthread");
}

std::string World::State() const {
  std::string text;
  for (CoreId c = 0; c < allocator_->cores().size(); c++) {
    const CoreView& core = allocator_->cores()[c];
    text += "\n  core " + std::to_string(c) + ":";
    if (core.owner == kNoApp) {
      text += " idle";
    } else {
      text += " app " + std::to_string(core.owner) + " kthread " + std::to_string(core.kthread);
    }
    if (core.ceding) text += " ceding";
    if (core.promised != kNoApp) text += " promised to app " + std::to_string(core.promised);
  }
  for (AppId id = 0; id < apps_.size(); id++) {
    const App& app = apps_[id];
    if (app.puppet == nullptr) continue;
    const ShareView& share = allocator_->share(id);
    text += "\n  app " + std::to_string(id) + (app.liar ? " (liar)" : "") + ": guaranteed " +
            std::to_string(share.guaranteed) + " max " + std::to_string(share.max) + " held " +
            std::to_string(share.held) + " pending " + std::to_string(share.pending) + ", kthreads with parked work " +
            std::to_string(ParkedWithWork(app));
  }
  return text;
}

}  // namespace sluice::test
