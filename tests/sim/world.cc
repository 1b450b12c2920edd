// world.cc - what the puppets do. What must hold: world_checks.cc.
#include "tests/sim/world.h"

#include <utility>

#include "policies/registry.h"

namespace sluice::test {
namespace {

// Gives idle cores and breaks one of the rules about others: kBrokenGuarantee takes none, so an app below its guarantee
// is left waiting; kNoSharing takes none of an app that bursts for one of the same priority that has nothing.
class BrokenPlacement final : public PlacementInterface {
 public:
  explicit BrokenPlacement(Planted planted) : planted_(planted) {}
  PlacementChoice Choose(const MachineView& machine, AppId app) override {
    const PlacementChoice choice = simple_->Choose(machine, app);
    if (!choice.preempt) return choice;
    const ShareView& asker = machine.apps[app];
    const ShareView& owner = machine.apps[machine.cores[choice.core].owner];
    const bool shared = asker.held + asker.pending >= asker.guaranteed && asker.priority == owner.priority;
    return planted_ == Planted::kBrokenGuarantee || shared ? PlacementChoice{} : choice;
  }

 private:
  const Planted planted_;
  std::unique_ptr<PlacementInterface> simple_ = MakePlacement("simple");
};

// A policy of the registry that now and then says that a core could be given up; a deaf one hears of no congestion.
class MoodyCongestion final : public CongestionInterface {
 public:
  MoodyCongestion(std::string_view name, uint64_t seed, bool deaf)
      : random_(seed, 1), deaf_(deaf), policy_(MakeCongestion(name, Options())) {}
  void Attach(AppId app, uint16_t kthreads) override { policy_->Attach(app, kthreads); }
  void Detach(AppId app) override { policy_->Detach(app); }
  Congestion Poll(AppId app, std::span<const KthreadSignals> signals, Ticks now) override {
    const Congestion verdict = policy_->Poll(app, signals, now);
    if (random_.Below(16) == 0) return Congestion::kGiveUp;
    return deaf_ ? Congestion::kKeep : verdict;
  }
  void OnGrant(AppId app, Ticks now) override { policy_->OnGrant(app, now); }

 private:
  static CongestionOptions Options() {
    CongestionOptions options;
    options.interval = 5000;
    return options;
  }
  sim::Random random_;
  const bool deaf_;
  std::unique_ptr<CongestionInterface> policy_;
};

std::string AnyOf(PolicyKind kind, sim::Random& random) {
  std::vector<std::string_view> names;
  for (const PolicyInfo& policy : PolicyList()) {
    if (policy.kind == kind) names.push_back(policy.name);
  }
  return std::string(names[random.Below(names.size())]);
}

}  // namespace

World::World(uint64_t seed, Planted planted) : seed_(seed), planted_(planted), random_(seed, 0) {
  const uint32_t cores = Chance(10) ? 9 + Below(56) : 1 + Below(8);
  options_ = MachineOptions(static_cast<uint16_t>(cores));
  const bool siblings = Chance(50), nodes = Chance(30);
  for (CoreId c = 0; c < cores; ++c) {
    if (siblings && (c ^ 1u) < cores) options_.cores[c].sibling = c ^ 1u;
    if (nodes) options_.cores[c].node = c >= cores / 2;
  }
  options_.shared_cpus = Chance(15);
  // Of many cores more than one changes hands in a pass, or whoever is owed nothing may wait for long.
  options_.grants_per_pass = cores > 8 ? 100 : std::array{1u, 3u, 100u}[Below(3)];
  options_.cede_give_up = 200'000;
  options_.pick = AnyOf(PolicyKind::kPick, random_);
  options_.congestion = AnyOf(PolicyKind::kCongestion, random_);
  options_.placement = AnyOf(PolicyKind::kPlacement, random_);
  AllocatorPolicies policies;
  policies.pick = [this](uint16_t n, std::span<const CoreId> sibling) { return MakePick(options_.pick, n, sibling); };
  policies.congestion =
      std::make_unique<MoodyCongestion>(options_.congestion, seed, planted == Planted::kDeafCongestion);
  policies.placement = MakePlacement(options_.placement);
  if (planted == Planted::kBrokenGuarantee || planted == Planted::kNoSharing) {
    policies.placement = std::make_unique<BrokenPlacement>(planted);
  }
  allocator_ = std::make_unique<Allocator>(options_, std::move(policies), *this, *this);
  ceding_.resize(cores);
  lost_passes_.resize(cores);
  if (Chance(6)) StartRecord();
}

std::string World::Describe() const {
  return std::to_string(options_.cores.size()) + " cores, " +
         (options_.cores[0].sibling != kNoCore ? "siblings, " : "") + (options_.shared_cpus ? "shared CPUs, " : "") +
         std::to_string(options_.grants_per_pass) + " grants per pass, pick " + options_.pick + ", congestion " +
         options_.congestion + ", placement " + options_.placement;
}

std::string World::Run(const std::vector<bool>& pieces) {
  for (step_ = 0; step_ < kSteps && failure_.empty(); ++step_) {
    now_ += 5000;
    for (uint32_t piece = 0; piece < kPiecesPerStep; ++piece) {
      const uint64_t index = uint64_t{step_} * kPiecesPerStep + piece;
      if (index >= pieces.size() || !pieces[index]) continue;
      random_ = sim::Random(seed_, index + 1);
      piece == 0 ? MachinePiece() : AppPiece(static_cast<AppId>(piece - 1));
      CheckFlushed();
    }
    for (App& app : apps_) {
      for (KthreadId k = 0; k < app.kthreads.size(); k++) app.kthreads[k].was_running = (*app.puppet)[k].running();
    }
    random_ = sim::Random(seed_, ~uint64_t{step_});
    deferred_ = allocator_->counters().deferred;
    if (Chance(30)) allocator_->Urgent(now_);
    CheckFlushed();
    allocator_->Pass(now_);
    CheckFlushed();
    deferred_ = allocator_->counters().deferred - deferred_;
    Check();
    if (recording_) DrainRecord();
    if (!failure_.empty()) return "step " + std::to_string(step_) + ": " + failure_;
  }
  if (recording_) CheckRecord();
  return failure_;
}

void World::MachinePiece() {
  now_ += Below(6000);
  if (Chance(1)) {
    now_ += 1'000'000'000;
    Note("the clock jumps a second ahead");
  }
  if (Chance(1)) {
    now_ -= 8000;
    Note("the clock jumps 8 us back");
  }
  if (Chance(20)) Attach(static_cast<AppId>(Below(kApps)));
}

void World::AppPiece(AppId id) {
  App& app = apps_[id];
  if (app.puppet == nullptr) return;
  if (Chance(1) || (app.detach_in > 0 && --app.detach_in == 0)) return Detach(id);
  if (Chance(1) && app.detach_in == 0) {
    Note("app " + std::to_string(id) + " crashes");
    app.crashed = true;
    app.detach_in = static_cast<int>(1 + Below(10));
  }
  if (Chance(30)) SendTo(id);
  if (Chance(5)) {
    app.puppet->Kick();
    app.inbox++;
    Note("app " + std::to_string(id) + ": a push into the inbox");
  }
  if (app.liar && Chance(50)) Lie(app);
  if (app.crashed) return;
  for (KthreadId k = 0; k < app.puppet->size(); k++) Act(id, k);
  if (planted_ == Planted::kSecondIssuer && Chance(1) && !HasCore(app, 0)) {
    (*app.puppet)[0].grant.core.store(Below(static_cast<uint32_t>(options_.cores.size())));
    (*app.puppet)[0].grant.generation.fetch_add(1);
  }
}

void World::Attach(AppId id) {
  App& app = apps_[id];
  if (app.puppet != nullptr) return;
  const uint16_t kthreads = static_cast<uint16_t>(1 + Below(6));
  const uint16_t guaranteed = static_cast<uint16_t>(Below(kthreads + 1u));
  const Priority priority = Chance(40) ? Priority::kBestEffort : Priority::kLatencyCritical;
  const bool liar = Chance(15), stubborn = Chance(10), sliced = Chance(30);
  if (!allocator_->CheckAdmission(guaranteed, kthreads).empty()) return;
  app = {};
  app.puppet = std::make_unique<PuppetApp>(id, kthreads, guaranteed, priority);
  app.puppet->rx_slots = 64;
  if (sliced) app.puppet->spec.slice = 20'000;
  app.kthreads.resize(kthreads);
  app.liar = liar;
  app.stubborn = stubborn;
  Note("app " + std::to_string(id) + " attaches: " + std::to_string(kthreads) + " kthreads, " +
       std::to_string(guaranteed) + " guaranteed" + (priority == Priority::kBestEffort ? ", best-effort" : "") +
       (liar ? ", a liar" : "") + (stubborn ? ", stubborn" : "") + (sliced ? ", with slices" : ""));
  allocator_->Attach(app.puppet->spec, app.puppet->Memory());
}

// The puppet's memory is freed: the allocator may not look at it again.
void World::Detach(AppId id) {
  Note("app " + std::to_string(id) + " detaches");
  allocator_->Detach(id);
  apps_[id] = {};
}

void World::SendTo(AppId id) {
  App& app = apps_[id];
  const AppView& view = allocator_->View(id);
  if (view.active.empty() && Chance(80)) allocator_->OnArrival(id, now_);
  const KthreadId k =
      view.active.empty() ? view.landing : view.active[Below(static_cast<uint32_t>(view.active.size()))];
  const uint32_t count = 1 + Below(4);
  const bool forgotten = planted_ == Planted::kForgottenSend && Chance(5);
  if (k >= app.kthreads.size()) return Fail("nobody to send to");
  if (!app.liar && app.kthreads[k].sent - (*app.puppet)[k].rx_consumed + count > app.puppet->rx_slots) return;
  app.kthreads[k].sent += count;
  Note("app " + std::to_string(id) + ": " + std::to_string(count) + " packets for kthread " + std::to_string(k));
  if (!forgotten) allocator_->OnSent(id, k, count, now_);
}

void World::Act(AppId id, KthreadId k) {
  App& app = apps_[id];
  PuppetKthread& puppet = (*app.puppet)[k];
  Kthread& self = app.kthreads[k];
  if (Chance(70)) self.visible = self.sent;
  if (!puppet.running()) {
    if (puppet.Granted() && Chance(60) && puppet.Start()) {
      self.interrupted = false;
      Note("app " + std::to_string(id) + " kthread " + std::to_string(k) + " runs");
    }
    return;
  }
  if (self.hung) {
    self.hung = !Chance(3);
    return;
  }
  if (puppet.CedeRequested() && !app.stubborn) {
    // The signal that was sent arrives, or the next safe point comes.
    if (std::exchange(self.signalled, false)) return ParkNow(id, k, true);
    if (Chance(50)) return ParkNow(id, k, false);
  }
  self.signalled = false;
  Work(id, k);
}

void World::Work(AppId id, KthreadId k) {
  App& app = apps_[id];
  PuppetKthread& puppet = (*app.puppet)[k];
  Kthread& self = app.kthreads[k];
  const uint32_t waiting = self.visible - puppet.rx_consumed;
  switch (Below(8)) {
    case 0:
    case 1: {
      const uint32_t taken = Below(waiting + 1);
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
      if (self.hung) Note("app " + std::to_string(id) + " kthread " + std::to_string(k) + " hangs");
      break;
    default:
      // An honest kthread parks when it sees nothing to do; a packet may be on its way to it.
      if (puppet.next_timer <= now_) puppet.next_timer = abi::kNoTimer;
      if (puppet.uthreads() == 0 && waiting == 0) ParkNow(id, k, false);
  }
}

void World::Steal(App& app, KthreadId k) {
  const KthreadId from = static_cast<KthreadId>(Below(app.puppet->size()));
  if (from == k) return;
  PuppetKthread& victim = (*app.puppet)[from];
  victim.Take(app.kthreads[from].visible - victim.rx_consumed);
  const uint32_t uthreads = victim.uthreads() / 2;
  victim.RunUthreads(uthreads);
  (*app.puppet)[k].Spawn(uthreads, now_);
}

void World::ParkNow(AppId id, KthreadId k, bool preempted) {
  Note("app " + std::to_string(id) + " kthread " + std::to_string(k) + " parks" +
       (preempted ? " inside a uthread" : ""));
  apps_[id].kthreads[k].interrupted = preempted;
  (*apps_[id].puppet)[k].Park(preempted ? uint32_t{abi::kParkPreempted} : 0);
}

// Anything at all, often with the numbers that matter right now.
void World::Lie(App& app) {
  const KthreadId k = static_cast<KthreadId>(Below(app.puppet->size()));
  abi::SignalLine& line = (*app.puppet)[k].signal;
  const uint32_t generation = (*app.puppet)[k].grant.generation.load();
  const auto number = [&]() -> uint32_t {
    return std::array<uint32_t, 4>{static_cast<uint32_t>(random_.Next()), generation, generation + 1,
                                   app.kthreads[k].sent}[Below(4)];
  };
  line.running.store(number());
  line.parked.store(number());
  line.rq_head.store(number());
  line.rq_tail.store(number());
  line.rx_consumed.store(number());
  line.kick_seen.store(number());
  line.park_flags.store(number());
  line.oldest_ready.store(random_.Next());
  line.busy_ticks.store(random_.Next());
  line.next_timer.store(Chance(50) ? 0 : random_.Next());
  app.puppet->line.kick.store(number());
}

void World::Note(const std::string& what) {
  if (trace_ != nullptr) *trace_ += "  step " + std::to_string(step_) + ": " + what + "\n";
}

void World::Wake(AppId id, KthreadId k, CoreId core) {
  put_off_++;
  Note("-> app " + std::to_string(id) + " kthread " + std::to_string(k) + " gets core " + std::to_string(core));
}
void World::Interrupt(AppId id, KthreadId k) {
  if (planted_ == Planted::kLostSignals) return;
  put_off_++;
  Note("-> app " + std::to_string(id) + " kthread " + std::to_string(k) + " is signalled");
  ceding_[allocator_->View(id).kthreads[k].core].signalled = now_;
  if (apps_[id].puppet != nullptr) apps_[id].kthreads[k].signalled = Chance(80);
}
void World::EndTurn(AppId id, KthreadId k) {
  put_off_++;
  Note("-> app " + std::to_string(id) + " kthread " + std::to_string(k) + " shall end a turn");
}
void World::Evict(AppId id, KthreadId k) {
  Note("-> app " + std::to_string(id) + " kthread " + std::to_string(k) + " is evicted");
  apps_[id].kthreads[k].evicted = true;
}

// Its rings are drained: some of what it sent is for apps on this machine.
void World::OnParked(AppId /*app*/, KthreadId /*k*/) {
  const AppId to = static_cast<AppId>(Below(kApps));
  if (Chance(30) && apps_[to].puppet != nullptr) SendTo(to);
}
void World::OnActiveChange(AppId id) {
  if (apps_[id].puppet != nullptr) CheckViews(apps_[id], id);
}
void World::OnUnresponsive(AppId id, KthreadId k) {
  if (!apps_[id].kthreads[k].evicted) Fail("reported as unresponsive but not evicted");
  if (apps_[id].detach_in == 0) apps_[id].detach_in = static_cast<int>(1 + Below(20));
}

}  // namespace sluice::test
