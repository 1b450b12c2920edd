// allocator_impl.h - the allocator's state and the verbs on it, split by role over four files:
//
//   allocator.cc  making, admission, attach, detach, OnSent
//   pass.cc       one pass: poll the kthreads that have a core, look after those that sleep
//   grants.cc     who wants a core, which core, which kthread; the lists that steering sees
//   cede.cc       taking a core back, and what follows when it is not given
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "iokernel/abi/check.h"
#include "iokernel/brain/allocator.h"
#include "iokernel/brain/app_state.h"
#include "policies/registry.h"

namespace sluice {

struct Allocator::Impl {
  Impl(const AllocatorOptions& options, AllocatorPolicies policies, GrantBackend& backend, AllocatorHost& host);

  // A kthread that has a core, in the order of polling: app by app.
  struct Polled {
    const abi::SignalLine* signal;
    BrainApp* app;
    KthreadId kthread;
  };
  // The signals of one app's running kthreads, in `signals`.
  struct Segment {
    BrainApp* app;
    uint32_t begin;
    uint32_t end;
  };
  struct Ceding {
    BrainApp* app;
    KthreadId kthread;
    Ticks since;
    Ticks signalled;  // when last
    uint32_t signals;
  };

  // allocator.cc
  void Attach(BrainAppPtr app);
  BrainAppPtr Detach(AppId id);
  void OnSent(BrainApp& app, KthreadId k, uint32_t count, Ticks now);

  // pass.cc
  void Pass(Ticks now);
  void RebuildOrder();
  void PollAwake(Ticks now);
  void ReadSignals(BrainApp& app, KthreadId k, Ticks now);
  void HandleStart(BrainApp& app, KthreadId k, Ticks now);
  void HandlePark(BrainApp& app, KthreadId k, Ticks now);
  void CheckTimers(Ticks now);
  void CheckKicks();
  void RecheckWaiting(Ticks now);
  void Decide(Ticks now);
  void SetConsumed(BrainApp& app, KthreadId k, uint32_t consumed);

  // grants.cc
  [[nodiscard]] bool HasWork(const BrainApp& app, KthreadId k, Ticks now) const;
  void MarkWaiting(BrainApp& app, KthreadId k);
  void UnmarkWaiting(BrainApp& app, KthreadId k);
  void ListWanting(BrainApp& app);
  [[nodiscard]] bool WantsCore(const BrainApp& app, uint16_t coming) const;
  [[nodiscard]] bool MayHaveAnother(const BrainApp& app) const;
  void TryAddCore(BrainApp& app, Ticks now);
  void Promise(BrainApp& app, CoreId core);
  void DropPromise(CoreId core);
  void FreeCore(CoreId core, Ticks now);
  [[nodiscard]] KthreadId ChooseKthread(BrainApp& app, CoreId core);
  void Grant(BrainApp& app, KthreadId k, CoreId core, Ticks now);
  void AddActive(BrainApp& app, KthreadId k);
  void RemoveActive(BrainApp& app, KthreadId k);

  // cede.cc
  void Cede(BrainApp& app, KthreadId k, Ticks now);
  void Escalate(Ticks now);
  void Evict(BrainApp& app, KthreadId k, Ticks now);
  template <class Suits>
  [[nodiscard]] CoreId ClaimCeding(Suits&& suits) const {
    // The one that has been ceding longest comes first.
    for (const Ceding& c : ceding) {
      const CoreId core = c.app->views[c.kthread].core;
      if (suits(core)) return core;
    }
    return kNoCore;
  }

  [[nodiscard]] ShareView& Share(const BrainApp& app) { return shares[app.spec.id]; }
  [[nodiscard]] const ShareView& Share(const BrainApp& app) const { return shares[app.spec.id]; }
  void SetHeld(BrainApp& app, int change) {
    ShareView& share = Share(app);
    share.held = static_cast<uint16_t>(share.held + change);
    app.counters.held.Set(share.held);
    if (share.held == 0) app.congested = false;  // nobody is left of whom it was said
  }
  static Ticks Since(Ticks then, Ticks now) { return now > then ? now - then : 0; }

  const AllocatorOptions options;
  AllocatorPolicies policies;
  GrantBackend& backend;
  AllocatorHost& host;

  std::vector<CoreView> cores;
  std::vector<CoreId> sibling;  // by CoreId, for the pick policies
  std::vector<ShareView> shares;
  std::array<BrainAppPtr, kMaxApps> apps;
  std::vector<AppId> attached;
  std::atomic<uint32_t> guaranteed_sum{0};

  std::vector<Polled> order;
  bool order_stale = true;
  std::vector<KthreadSignals> signals;
  std::vector<Segment> segments;
  std::vector<Polled> started, parked;  // seen in this pass
  std::vector<Ceding> ceding;
  std::vector<BrainApp*> wanting;     // apps with parked work
  std::vector<BrainApp*> candidates;  // apps that want a core in this pass
  Ticks earliest_due = abi::kNoTimer;
  size_t kick_cursor = 0;
  uint32_t grants_left = 0;  // in this pass
  uint16_t idle_cores = 0;
  bool in_pass = false;
  AllocatorCounters counters;
};

}  // namespace sluice
