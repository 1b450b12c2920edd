// allocator_impl.h - the allocator's state and the verbs on it, split by role over seven files:
//
//   allocator.cc  making, admission, attach, detach, packets that come
//   pass.cc       one pass: poll the kthreads that have a core, and decide
//   asleep.cc     looking after those that have none: timers, kicks, work that was stolen
//   grants.cc     who wants a core, which core, which kthread; the lists that steering sees
//   cede.cc       taking a core back, and what follows when it is not given
//   slice.cc      time slices of uthreads
//   log.cc        what goes into the record of decisions
//
// A pass costs what runs and what is due, not what is attached: apps of which some kthread has a core are in
// `running`, timers of parked kthreads are on a wheel, and of the apps that sleep a bounded number is looked at.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "iokernel/abi/check.h"
#include "iokernel/brain/allocator.h"
#include "iokernel/brain/app_state.h"
#include "iokernel/brain/recorder.h"
#include "iokernel/brain/timer_wheel.h"
#include "policies/machine.h"
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
    Congestion verdict;
  };
  // An app of which nobody has a core and whose inbox was empty when it fell asleep.
  struct Sleeping {
    BrainApp* app;
    const std::atomic<uint32_t>* kick;
    uint32_t seen;
  };
  struct Ceding {
    BrainApp* app;
    KthreadId kthread;
    Ticks since;
    Ticks signalled;  // when last
    uint32_t signals;
  };

  struct DueTurn {
    BrainApp* app;
    KthreadId kthread;
    Ticks since;
  };

  // allocator.cc
  void Attach(BrainAppPtr app);
  BrainAppPtr Detach(AppId id);
  void OnArrival(BrainApp& app, Ticks now);
  void OnSent(BrainApp& app, KthreadId k, uint32_t count, Ticks now);

  // pass.cc
  void Pass(Ticks now);
  void RebuildOrder();
  void PollAwake(Ticks now);
  void PollOne(const Polled& p);
  void HandleEvents(Ticks now);
  void CountStart(BrainApp& app, KthreadId k, Ticks now);
  void HandleStart(BrainApp& app, KthreadId k, Ticks now);
  void HandlePark(BrainApp& app, KthreadId k, Ticks now);
  void Urgent(Ticks now);
  // A refusal holds until the next pass, or until a core comes back.
  [[nodiscard]] bool WasRefused(const BrainApp& app) const { return app.refused_pass == counters.passes; }
  [[nodiscard]] bool SomebodyWasRefused() const { return last_refusal == counters.passes; }
  void LookForParks(Ticks now);
  void Judge(Ticks now);
  void Decide(Ticks now);
  void ServeCandidates(Ticks now);
  void SetConsumed(BrainApp& app, KthreadId k, uint32_t consumed);

  // asleep.cc
  [[nodiscard]] std::optional<record::Cause> WorkOf(const BrainApp& app, KthreadId k, Ticks now) const;
  void MarkWaiting(BrainApp& app, KthreadId k, record::Cause work, Ticks now);
  void UnmarkWaiting(BrainApp& app, KthreadId k);
  void ArmTimer(BrainApp& app, KthreadId k);
  void CheckTimers(Ticks now);
  void FallAsleep(BrainApp& app, Ticks now);
  void WakeUp(BrainApp& app);
  void Rouse(BrainApp& app, record::Cause why, Ticks now);
  void CheckKicks(size_t most, Ticks now);
  void RecheckWaiting(Ticks now);
  void ListWanting(BrainApp& app);
  void SetAwake(BrainApp& app, KthreadId k);
  void SetAsleep(BrainApp& app, KthreadId k);

  // slice.cc
  void WatchTurn(BrainApp& app, KthreadId k, const KthreadSignals& s, Ticks now);
  void EndTurns(Ticks now);

  // log.cc
  void LogSnapshot(Ticks now);
  void LogAttach(const BrainApp& app, Ticks now);
  void LogPolls(Ticks now);
  template <class R>
  void Log(record::RecordType type, AppId app, Ticks now, const R& what) {
    if (recorder.on()) [[unlikely]]
      recorder.Put(what, type, app, now);
  }

  // grants.cc
  [[nodiscard]] bool WantsCore(const BrainApp& app, uint16_t coming) const;
  [[nodiscard]] bool MayHaveAnother(const BrainApp& app) const;
  void TryAddCore(BrainApp& app, Ticks now);
  void FreeCore(CoreId core, Ticks now);
  void Promise(BrainApp& app, CoreId core);
  [[nodiscard]] KthreadId Pick(BrainApp& app, CoreId core);
  [[nodiscard]] KthreadId ChooseKthread(BrainApp& app, CoreId core);
  void Refused(BrainApp& app, Ticks now);
  void Grant(BrainApp& app, CoreId core, bool promised, Ticks now);
  void AddActive(BrainApp& app, KthreadId k);
  void RemoveActive(BrainApp& app, KthreadId k);

  // cede.cc
  void Cede(BrainApp& app, KthreadId k, AppId heir, Ticks now);
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

  [[nodiscard]] const CoreView& Core(CoreId core) const { return machine.view().cores[core]; }
  [[nodiscard]] const ShareView& Share(AppId app) const { return machine.view().apps[app]; }
  [[nodiscard]] const ShareView& Share(const BrainApp& app) const { return Share(app.spec.id); }
  void HeldChanged(BrainApp& app) {
    app.counters.held.Set(Share(app).held);
    if (Share(app).held == 0) app.congested = false;  // nobody is left of whom it was said
  }
  static Ticks Since(Ticks then, Ticks now) { return now > then ? now - then : 0; }

  const AllocatorOptions options;
  AllocatorPolicies policies;
  GrantBackend& backend;
  AllocatorHost& host;

  Machine machine;              // who has which core
  std::vector<CoreId> sibling;  // by CoreId, for the pick policies
  std::array<BrainAppPtr, kMaxApps> apps;
  std::vector<AppId> attached;
  std::vector<BrainApp*> running;  // apps of which some kthread has a core
  std::vector<Sleeping> sleeping;
  std::atomic<uint32_t> guaranteed_sum{0};

  std::vector<Polled> order;
  bool order_stale = true;
  std::vector<KthreadSignals> signals;
  std::vector<Segment> segments;
  std::vector<Polled> started, parked;  // of the latest look
  std::vector<DueTurn> due_turns;       // in this pass
  std::vector<Ceding> ceding;
  std::vector<BrainApp*> wanting;     // apps with parked work
  std::vector<BrainApp*> candidates;  // apps that want a core in this pass
  TimerWheel wheel;
  size_t kick_cursor = 0;
  size_t park_cursor = 0;
  size_t poll_turn = 0;  // whose samples are recorded first
  int32_t sample_credit = 0;
  Ticks last_now = 0;             // of the latest call
  uint32_t grants_left = 0;       // in this pass
  Ticks slice_credit = 0;         // what ends of turns may cost now
  Ticks slice_credited = 0;       // when that was last added to
  uint64_t last_refusal = ~0ull;  // the pass in which, or after which, there was last no core for somebody
  bool in_pass = false;
  bool news = false;  // an app has begun to want a core since the last decision
  AllocatorCounters counters;
  Recorder recorder;
};

}  // namespace sluice
