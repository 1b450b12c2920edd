// random_world.cc - what the puppets do. What must hold: random_checks.cc.
#include "tests/unit/brain/random_world.h"

#include <utility>

#include "iokernel/brain/recorder.h"
#include "policies/registry.h"

namespace sluice::test {
namespace {

// Gives idle cores and takes none: an app below its guarantee is left waiting.
class NeverTakes final : public PlacementInterface {
 public:
  PlacementChoice Choose(const MachineView& machine, AppId app) override {
    const PlacementChoice choice = simple_->Choose(machine, app);
    return choice.preempt ? PlacementChoice{} : choice;
  }

 private:
  std::unique_ptr<PlacementInterface> simple_ = MakePlacement("simple");
};

// Like the policy of that name, but now and then says that a core could be given up.
class MoodyCongestion final : public CongestionInterface {
 public:
  MoodyCongestion(uint64_t seed, std::string_view name)
      : random_(seed), steady_(MakeCongestion(name, {.interval = 5000})) {}
  void Attach(AppId app, uint16_t kthreads) override { steady_->Attach(app, kthreads); }
  void Detach(AppId app) override { steady_->Detach(app); }
  Congestion Poll(AppId app, std::span<const KthreadSignals> signals, Ticks now) override {
    const Congestion verdict = steady_->Poll(app, signals, now);
    return random_() % 16 == 0 ? Congestion::kGiveUp : verdict;
  }
  void OnGrant(AppId app, Ticks now) override { steady_->OnGrant(app, now); }

 private:
  std::mt19937_64 random_;
  std::unique_ptr<CongestionInterface> steady_;
};

}  // namespace

RandomWorld::RandomWorld(uint64_t seed, Planted planted) : random_(seed), planted_(planted) {
  options_ = MachineOptions(static_cast<uint16_t>(1 + Below(8)));
  if (Chance(50)) {
    for (CoreId c = 0; c + 1u < options_.cores.size(); c += 2) {
      options_.cores[c].sibling = c + 1;
      options_.cores[c + 1].sibling = c;
    }
  }
  options_.shared_cpus = Chance(15);
  options_.grants_per_pass = std::array{1u, 3u, 100u}[Below(3)];
  options_.cede_give_up = 200'000;
  const auto any = [&](PolicyKind kind) {
    std::vector<std::string> names;
    for (const PolicyInfo& policy : PolicyList()) {
      if (policy.kind == kind) names.emplace_back(policy.name);
    }
    return names[Below(static_cast<uint32_t>(names.size()))];
  };
  const std::string pick = any(PolicyKind::kPick);
  AllocatorPolicies policies{
      .pick = [pick](uint16_t n, std::span<const CoreId> sibling) { return MakePick(pick, n, sibling); },
      .congestion = std::make_unique<MoodyCongestion>(seed, any(PolicyKind::kCongestion)),
      .placement = MakePlacement(any(PolicyKind::kPlacement))};
  if (planted == Planted::kBrokenGuarantee) policies.placement = std::make_unique<NeverTakes>();
  allocator_ = std::make_unique<Allocator>(options_, std::move(policies), *this, *this);
  ceding_.resize(options_.cores.size());
  recording_ = seed % 16 == 0;
  if (recording_) {
    record_ = MakeFileHeader(options_, 1'000'000'000, now_, 0);
    if (!allocator_->recorder().Start()) Fail("a recorder that cannot be started");
    allocator_->Pass(now_);
  }
}

std::string RandomWorld::Run(int steps) {
  for (int i = 0; i < steps && failure_.empty(); i++) {
    Step();
    if (!failure_.empty()) failure_ = "step " + std::to_string(i) + ": " + failure_;
  }
  if (recording_ && failure_.empty()) CheckRecord();
  return failure_;
}

void RandomWorld::MaybeAttach() {
  const AppId id = static_cast<AppId>(Below(apps_.size()));
  App& app = apps_[id];
  if (app.puppet != nullptr) return;
  const uint16_t kthreads = static_cast<uint16_t>(1 + Below(6));
  const uint16_t guaranteed = static_cast<uint16_t>(Below(kthreads + 1u));
  if (!allocator_->CheckAdmission(guaranteed, kthreads).empty()) return;
  app = {};
  app.puppet = std::make_unique<PuppetApp>(id, kthreads, guaranteed,
                                           Chance(40) ? Priority::kBestEffort : Priority::kLatencyCritical);
  app.puppet->rx_slots = 64;
  app.kthreads.resize(kthreads);
  app.liar = Chance(15);
  allocator_->Attach(app.puppet->spec, app.puppet->Memory());
}

// The puppet's memory is freed: the allocator may not look at it again.
void RandomWorld::Detach(AppId id) {
  allocator_->Detach(id);
  apps_[id] = {};
}

void RandomWorld::SendTo(App& app, AppId id) {
  const AppView& view = allocator_->View(id);
  const KthreadId k = view.active.empty() ? view.landing : view.active[Below(view.active.size())];
  if (k >= app.kthreads.size()) return Fail("nobody to send to");
  const uint32_t count = 1 + Below(4);
  if (!app.liar && app.kthreads[k].sent - (*app.puppet)[k].rx_consumed + count > app.puppet->rx_slots) return;
  app.kthreads[k].sent += count;
  if (planted_ == Planted::kForgottenSend && Chance(5)) return;
  allocator_->OnSent(id, k, count, now_);
}

void RandomWorld::Act(App& app, KthreadId k) {
  PuppetKthread& puppet = (*app.puppet)[k];
  Kthread& self = app.kthreads[k];
  if (!puppet.running()) {
    if (puppet.Granted() && Chance(60) && puppet.Start()) self.interrupted = false;
    return;
  }
  if (self.hung) {
    self.hung = !Chance(3);
    return;
  }
  if (puppet.CedeRequested() && Chance(70)) return ParkNow(app, k, Chance(50));
  switch (Below(8)) {
    case 0:
    case 1: {
      const uint32_t taken = Below(self.sent - puppet.rx_consumed + 1);
      puppet.Take(taken);
      puppet.Spawn(Below(taken + 1), now_);
      break;
    }
    case 2:
      puppet.RunUthreads(Below(puppet.uthreads() + 1));
      break;
    case 3:
      Steal(app, k);
      break;
    case 4:
      puppet.next_timer = Chance(50) ? now_ + Below(50'000) : abi::kNoTimer;
      break;
    case 5:
      app.puppet->EmptyInbox(k);
      app.inbox = 0;
      break;
    case 6:
      self.hung = Chance(4);
      break;
    default:
      // An honest kthread parks when it sees nothing to do; a packet may be on its way to it.
      if (puppet.next_timer <= now_) puppet.next_timer = abi::kNoTimer;
      if (puppet.uthreads() == 0 && self.sent - puppet.rx_consumed <= Below(3)) ParkNow(app, k, false);
  }
}

void RandomWorld::Steal(App& app, KthreadId k) {
  const KthreadId from = static_cast<KthreadId>(Below(app.puppet->size()));
  if (from == k) return;
  PuppetKthread& victim = (*app.puppet)[from];
  victim.Take(app.kthreads[from].sent - victim.rx_consumed);
  const uint32_t uthreads = victim.uthreads() / 2;
  victim.RunUthreads(uthreads);
  (*app.puppet)[k].Spawn(uthreads, now_);
}

void RandomWorld::ParkNow(App& app, KthreadId k, bool preempted) {
  app.kthreads[k].interrupted = preempted;
  (*app.puppet)[k].Park(preempted ? uint32_t{abi::kParkPreempted} : 0);
}

// Anything at all, often with the numbers that matter right now.
void RandomWorld::Lie(App& app) {
  const KthreadId k = static_cast<KthreadId>(Below(app.puppet->size()));
  abi::SignalLine& line = (*app.puppet)[k].signal;
  const uint32_t generation = (*app.puppet)[k].grant.generation.load();
  const auto number = [&]() -> uint32_t {
    return std::array<uint32_t, 4>{static_cast<uint32_t>(random_()), generation, generation + 1,
                                   app.kthreads[k].sent}[Below(4)];
  };
  line.running.store(number());
  line.parked.store(number());
  line.rq_head.store(number());
  line.rq_tail.store(number());
  line.rx_consumed.store(number());
  line.kick_seen.store(number());
  line.park_flags.store(number());
  line.oldest_ready.store(random_());
  line.busy_ticks.store(random_());
  line.next_timer.store(Chance(50) ? 0 : random_());
  app.puppet->line.kick.store(number());
}

void RandomWorld::Step() {
  now_ += 2000 + Below(6000);
  if (Chance(1)) now_ += 1'000'000'000;
  if (Chance(1)) now_ -= 3000;
  if (Chance(20)) MaybeAttach();
  for (AppId id = 0; id < apps_.size(); id++) {
    App& app = apps_[id];
    if (app.puppet == nullptr) continue;
    if (Chance(1) || (app.detach_in > 0 && --app.detach_in == 0)) {
      Detach(id);
      continue;
    }
    if (Chance(30)) SendTo(app, id);
    if (Chance(5)) {
      app.puppet->Kick();
      app.inbox++;
    }
    if (app.liar && Chance(50)) Lie(app);
    for (KthreadId k = 0; k < app.puppet->size(); k++) Act(app, k);
    if (planted_ == Planted::kSecondIssuer && Chance(1) && !HasCore(app, 0)) {
      (*app.puppet)[0].grant.core.store(Below(options_.cores.size()));
      (*app.puppet)[0].grant.generation.fetch_add(1);
    }
  }
  if (Chance(50)) allocator_->Urgent(now_ += Below(2000));
  for (App& app : apps_) {
    for (KthreadId k = 0; k < app.kthreads.size(); k++) app.kthreads[k].was_running = (*app.puppet)[k].running();
  }
  deferred_ = allocator_->counters().deferred;
  allocator_->Pass(now_);
  deferred_ = allocator_->counters().deferred - deferred_;
  Check();
  if (recording_) DrainRecord();
}

void RandomWorld::Interrupt(AppId id, KthreadId k) {
  App& app = apps_[id];
  if (app.puppet == nullptr || app.liar || app.kthreads[k].hung || !Chance(60)) return;
  if ((*app.puppet)[k].CedeRequested()) ParkNow(app, k, true);
}
void RandomWorld::Evict(AppId id, KthreadId k) { apps_[id].kthreads[k].evicted = true; }

// Its rings are drained: some of what it sent is for apps on this machine.
void RandomWorld::OnParked(AppId /*app*/, KthreadId /*k*/) {
  const AppId to = static_cast<AppId>(Below(apps_.size()));
  if (apps_[to].puppet != nullptr && Chance(30)) SendTo(apps_[to], to);
}
void RandomWorld::OnActiveChange(AppId id) {
  if (apps_[id].puppet != nullptr) CheckViews(apps_[id], id);
}
void RandomWorld::OnUnresponsive(AppId id, KthreadId k) {
  if (!apps_[id].kthreads[k].evicted) Fail("reported as unresponsive but not evicted");
  apps_[id].detach_in = static_cast<int>(1 + Below(20));
}

}  // namespace sluice::test
