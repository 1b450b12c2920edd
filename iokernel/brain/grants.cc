// grants.cc - who wants a core, which core, which kthread; and the lists that steering sees.
#include <algorithm>

#include "iokernel/brain/allocator_impl.h"

namespace sluice {

// ---------------------------------------------------------------------------------------------------
// Which app.

// Work that `coming` more cores would not take care of.
bool Allocator::Impl::WantsCore(const BrainApp& app, uint16_t coming) const {
  if (app.waiting.size() > coming) return true;
  if (coming > 0) return false;
  // A core that has just been given counts before it shows: congestion is judged again once its kthread runs.
  return (app.roused && Share(app).held == 0) || (app.congested && app.starting == 0);
}

bool Allocator::Impl::MayHaveAnother(const BrainApp& app) const {
  const ShareView& share = Share(app);
  return share.held + share.pending < share.max && app.parked_count > share.pending;
}

void Allocator::Impl::TryAddCore(BrainApp& app, Ticks now) {
  const ShareView& share = Share(app);
  if (!WantsCore(app, share.pending)) {
    // What was promised may be long in coming. An idle core is here: it replaces the promise.
    if (share.pending == 0 || machine.idle_cores() == 0 || !WantsCore(app, 0)) return;
    machine.DropPromise(ClaimCeding([&](CoreId core) { return Core(core).promised == app.spec.id; }));
  }
  if (!MayHaveAnother(app)) return;

  const PlacementChoice choice = policies.placement->Choose(machine.view(), app.spec.id);
  SLUICE_CHECK(choice.core == kNoCore || choice.core < options.cores.size(),
               "placement chose a core that does not exist");
  if (choice.core != kNoCore && !choice.preempt) {
    SLUICE_CHECK(Core(choice.core).owner == kNoApp, "placement called a core idle that has an owner");
    if (grants_left == 0) {
      counters.deferred.Add();
      return Refused(app, now);
    }
    return Grant(app, choice.core, false, now);
  }
  // A core that comes back anyway is better than one more to be taken; and one on its way to an app that is
  // not owed it is the last resort of an app that is.
  CoreId core = ClaimCeding([&](CoreId c) { return Core(c).promised == kNoApp; });
  if (core == kNoCore && choice.core == kNoCore && share.held + share.pending < share.guaranteed) {
    core = ClaimCeding([&](CoreId c) {
      const ShareView& other = Share(Core(c).promised);
      return Core(c).promised != app.spec.id && other.held + other.pending > other.guaranteed;
    });
    if (core != kNoCore) machine.DropPromise(core);
  }
  if (core != kNoCore) {
    return Promise(app, core);
  }
  if (choice.core == kNoCore) return Refused(app, now);
  const CoreView& taken = Core(choice.core);
  SLUICE_CHECK(taken.owner != kNoApp && taken.owner != app.spec.id && !taken.ceding,
               "placement would take a core that nobody else has");
  Promise(app, choice.core);
  Cede(*apps[taken.owner], taken.kthread, app.spec.id, now);
}

// The packets of a sleeping app wait with the kthread that will have the core.
void Allocator::Impl::Promise(BrainApp& app, CoreId core) {
  machine.Promise(core, app.spec.id);
  if (!app.awake.empty() || !app.waiting.empty()) return;
  app.view.landing = Pick(app, core);
  host.OnActiveChange(app.spec.id);
}

void Allocator::Impl::Refused(BrainApp& app, Ticks now) {
  const uint64_t before = app.refused_pass;
  app.refused_pass = last_refusal = counters.passes;
  if (before == counters.passes || before + 1 == counters.passes) return;
  Log(record::RecordType::kRefuse, app.spec.id, now, record::RecordRefuse{});
}

// ---------------------------------------------------------------------------------------------------
// Which core.

// The kthread that had it has parked, or was evicted.
void Allocator::Impl::FreeCore(CoreId core, Ticks now) {
  machine.Free(core);
  if (Core(core).promised == kNoApp) return;
  BrainApp& heir = *apps[Core(core).promised];
  machine.DropPromise(core);
  if (WantsCore(heir, Share(heir).pending) && MayHaveAnother(heir)) Grant(heir, core, true, now);
}

// ---------------------------------------------------------------------------------------------------
// Which kthread.

KthreadId Allocator::Impl::ChooseKthread(BrainApp& app, CoreId core) {
  if (!app.preempted.empty()) return app.preempted.front();
  if (app.kthreads[app.view.landing].waits) return app.view.landing;
  if (!app.waiting.empty()) return app.waiting.front();
  return Pick(app, core);
}

KthreadId Allocator::Impl::Pick(BrainApp& app, CoreId core) {
  const KthreadId k = app.pick->Pick(app.view, core);
  SLUICE_CHECK(k < app.spec.kthreads && app.views[k].parked, "pick chose a kthread that is not parked");
  return k;
}

void Allocator::Impl::Grant(BrainApp& app, CoreId core, bool promised, Ticks now) {
  const KthreadId k = ChooseKthread(app, core);
  BrainKthread& kthread = app.kthreads[k];
  KthreadView& view = app.views[k];
  SLUICE_CHECK(view.parked && Core(core).owner == kNoApp, "a grant of what is not free");
  if (grants_left > 0) grants_left--;
  kthread.issuer.Grant(core, Core(core).cpu);
  backend.Wake(app.spec.id, k, core);
  using record::Cause;
  const Cause cause = kthread.waits ? kthread.work : app.roused ? app.roused_by : Cause::kCongestion;
  Log(record::RecordType::kGrant, app.spec.id, now, record::RecordGrant{{}, k, core, cause, promised});

  kthread.granted_at = now;
  kthread.starting = true;
  kthread.grants.Add();
  app.counters.grants.Add();
  counters.grants.Add();
  machine.Grant(core, app.spec.id, k, now);
  HeldChanged(app);
  app.starting++;
  app.parked_count--;
  app.roused = false;
  UnmarkWaiting(app, k);
  if (view.preempted) app.preempted.Remove(k);
  view.parked = false;
  view.preempted = false;
  view.core = core;
  app.on_core[core] = k;
  wheel.Disarm(kthread.timer);
  SetAwake(app, k);
  app.pick->OnRun(k, core);
  policies.congestion->OnGrant(app.spec.id, now);
  if (app.active.empty()) AddActive(app, k);
  host.OnActiveChange(app.spec.id);
}

// ---------------------------------------------------------------------------------------------------
// What steering sees.

void Allocator::Impl::AddActive(BrainApp& app, KthreadId k) {
  app.views[k].steerable = true;
  app.active.Push(k);
  app.view.active = app.active.span();
}

void Allocator::Impl::RemoveActive(BrainApp& app, KthreadId k) {
  if (app.views[k].steerable) {
    app.views[k].steerable = false;
    app.active.Remove(k);
    // Nobody runs any more: those that were only granted take the packets.
    if (app.active.empty()) {
      for (const KthreadId other : app.awake.span()) {
        if (app.kthreads[other].starting) AddActive(app, other);
      }
    }
    app.view.active = app.active.span();
  }
  if (!app.active.empty()) return;
  // The landing kthread will run next: it was preempted, or parked last. If none is parked, the ones that are
  // about to give their cores back keep what they get until they run again.
  if (!app.preempted.empty()) {
    app.view.landing = app.preempted.front();
  } else if (app.views[app.last_parked].parked) {
    app.view.landing = app.last_parked;
  } else if (!app.waiting.empty()) {
    app.view.landing = app.waiting.front();
  } else if (app.kthreads[app.view.landing].evicted && !app.awake.empty()) {
    app.view.landing = app.awake.front();
  }
}

}  // namespace sluice
