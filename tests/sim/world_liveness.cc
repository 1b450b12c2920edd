// world_liveness.cc - who is owed a core, and within how many passes. The promises, from the puppets' point of view:
//
// An app *wants* a core while more of its parked kthreads have work than cores are promised to it; and while it is
// congested, unless a core is promised to it or has been given and is not in use yet (one at a time: the core just
// given has to show first; allocator.h, grants.cc). Congested is whose running kthread has had something queued for
// kStood passes: `standing-queue` says so after one, `delay` after its 10 us, `priority-heap` after its 5 us, and
// passes are at least 5 us apart. `utilization` judges busy time, of which a queue says nothing: parked work alone
// counts there. And the app must be able to use the core: a kthread is parked, and it holds less than its maximum.
//
// Such an app gets a core, or the promise of one that is asked back, within the passes of `patience`, if
//   - it is below its guarantee: guarantees add up to at most the cores, so one can always be had (invariant 3);
//   - or it is latency-critical, and a best-effort app is above its own guarantee;
//   - or a core is idle (invariant 5);
//   - or it has none, and an app of no higher priority has more than one and more than its guarantee (choice.h).
// A promised core has been asked for, and comes back within cede_give_up: world_checks.cc.
#include <algorithm>

#include "tests/sim/world.h"

namespace sluice::test {
namespace {

// Passes in which something stays queued until every policy that looks at queues finds the app congested: more than
// 10 us, even if the clock goes 8 us back meanwhile.
constexpr int kStood = 4;

bool Before(uint32_t position, uint32_t mark) { return static_cast<int32_t>(mark - position) > 0; }

}  // namespace

// After each pass.
void World::WatchQueues(App& app) {
  for (KthreadId k = 0; k < app.kthreads.size(); k++) {
    const PuppetKthread& puppet = (*app.puppet)[k];
    Kthread& self = app.kthreads[k];
    const uint32_t rq_head = puppet.signal.rq_head.load();
    const bool ran = self.was_running && puppet.running() && !puppet.CedeRequested();
    if (ran && (Before(rq_head, self.rq_mark) || Before(puppet.rx_consumed, self.rx_mark))) {
      self.stood++;
      continue;
    }
    self.rq_mark = puppet.running() ? puppet.signal.rq_tail.load() : rq_head;
    self.rx_mark = puppet.running() ? self.sent : puppet.rx_consumed;
    self.stood = 0;
  }
}

bool World::Congested(const App& app) const {
  if (options_.congestion == "utilization") return false;
  bool stands = false;
  for (KthreadId k = 0; k < app.kthreads.size(); k++) {
    if ((*app.puppet)[k].Granted()) return false;  // not in use yet
    stands |= app.kthreads[k].stood >= kStood;
  }
  return stands;
}

uint32_t World::ParkedWithWork(const App& app) const {
  uint32_t count = 0;
  for (KthreadId k = 0; k < app.kthreads.size(); k++) {
    if (HasCore(app, k)) continue;
    const PuppetKthread& puppet = (*app.puppet)[k];
    count += app.kthreads[k].sent != puppet.rx_consumed || puppet.uthreads() > 0 || app.kthreads[k].interrupted ||
             puppet.signal.next_timer.load() <= now_;
  }
  return count;
}

// Some best-effort app runs on more than its guarantee, and nobody has asked it for a core yet.
bool World::BestEffortToSpare() const {
  for (AppId id = 0; id < apps_.size(); id++) {
    const ShareView& share = allocator_->share(id);
    if (share.attached && share.priority == Priority::kBestEffort && share.held > share.guaranteed) return true;
  }
  return false;
}

// Some other app, of no higher priority, keeps a core and its guarantee if it gives one to this one.
bool World::SomebodyShares(AppId asker) const {
  const bool critical = allocator_->share(asker).priority == Priority::kLatencyCritical;
  for (AppId id = 0; id < apps_.size(); id++) {
    const ShareView& share = allocator_->share(id);
    if (id == asker || !share.attached || share.held <= std::max<uint16_t>(share.guaranteed, 1)) continue;
    if (critical || share.priority == Priority::kBestEffort) return true;
  }
  return false;
}

void World::CheckLiveness(App& app, AppId id, bool idle_core) {
  const ShareView& share = allocator_->share(id);
  const uint16_t kthreads = app.puppet->size();
  uint16_t awake = 0, parked = 0;
  for (KthreadId k = 0; k < kthreads; k++) {
    awake += HasCore(app, k);
    parked += !HasCore(app, k);
    const PuppetKthread& puppet = (*app.puppet)[k];
    const bool ran = app.kthreads[k].was_running && puppet.running() && !puppet.CedeRequested();
    if (ran && !app.kthreads[k].evicted && !allocator_->View(id).kthreads[k].steerable) {
      return Fail("invariant 4: running and acknowledged, but not steerable");
    }
  }
  // A packet that was sent from a callback of this pass, or by a signal handler's park in it, counts from the next.
  const uint32_t work = std::max(ParkedWithWork(app), awake == 0 && app.inbox > 0 ? 1u : 0u);
  const bool congested = Congested(app) && (share.pending == 0 || idle_core);
  const int has = share.held + share.pending;
  const bool wants = (work > share.pending || congested) && parked > share.pending && has < share.max;

  // An app gets one core in a pass; and one that had to put grants off serves everybody in turn.
  const int patience = 2 + kthreads + (options_.grants_per_pass < 100 ? 3 * static_cast<int>(apps_.size()) : 0);
  const auto promise = [&](int& passes, bool owed, int most, const char* broken) {
    passes = owed ? passes + 1 : 0;
    if (passes > most) Fail("app " + std::to_string(id) + (congested ? ", congested, " : " ") + broken + State());
  };
  promise(app.owed_passes, wants && has < share.guaranteed, patience, "is owed a core: invariant 3");
  promise(app.delayed_passes, wants && share.priority == Priority::kLatencyCritical && BestEffortToSpare(), patience,
          "waits for best-effort work");
  promise(app.idle_core_passes, wants && idle_core, patience, "waits beside an idle core: invariant 5");
  promise(app.shut_out_passes, wants && has == 0 && SomebodyShares(id), patience, "has work, no core, and is shut out");
}

}  // namespace sluice::test
