// Every combination of policies drives a random machine: apps come and go, packets come in bursts, kthreads work, park
// and are preempted, cedes take a while, flows are installed and removed. Whatever is combined:
//
//  1. every packet gets a kthread of its app: a steerable one if there is one, else the landing one;
//  2. the picked kthread is parked; the chosen core is idle, or its owner is above its guarantee;
//  3. a core has one kthread, a kthread one core, and nobody has more than his maximum;
//  4. wishes name cores of the machine;
//  5. once the traffic ends everything is worked off, and every core becomes idle.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "policies/flow_request.h"
#include "policies/machine.h"
#include "tests/lib/eal.h"
#include "tests/unit/policies/fake_app.h"

namespace sluice {
namespace {

using testing::FakeApp;
using testing::FlowHash;

struct Combination {
  std::string steering, pick, congestion, placement;
};

std::vector<std::string> Names(PolicyKind kind) {
  std::vector<std::string> names;
  for (const PolicyInfo& policy : PolicyList()) {
    if (policy.kind == kind) names.emplace_back(policy.name);
  }
  if (kind == PolicyKind::kCongestion) names.emplace_back("delay:5us..20us");
  return names;
}

class World {
 public:
  World(const Combination& with, uint32_t seed)
      : with_(with),
        random_(seed),
        cores_(static_cast<uint16_t>(1 + random_() % 8)),
        siblings_(Siblings(cores_)),
        machine_(siblings_, static_cast<uint16_t>(random_() % 2)),
        sibling_ids_(cores_),
        congestion_(MakeCongestion(with.congestion, {.interval = kInterval})),
        placement_(MakePlacement(with.placement)),
        apps_(1 + random_() % 3) {
    for (CoreId c = 0; c < cores_; c++) sibling_ids_[c] = siblings_[c].sibling;
    for (AppId id = 0; id < apps_.size(); id++) Attach(id);
  }

  void Run(int steps) {
    for (int step = 0; step < steps && !Failed(); step++) {
      SCOPED_TRACE("step " + std::to_string(step));
      const auto id = static_cast<AppId>(random_() % apps_.size());
      if (random_() % 100 == 0) {
        Detach(id);
        Attach(id);
      }
      if (random_() % 2 == 0) Burst(id);
      if (random_() % 8 == 0) AskAboutAFlow(id);
      Pass();
    }
  }

  void Drain() {
    for (int step = 0; step < 2000 && machine_.idle_cores() < cores_ && !Failed(); step++) Pass();
    EXPECT_EQ(machine_.idle_cores(), cores_) << "somebody never parked";
    for (const auto& app : apps_) EXPECT_EQ(app->queued, 0u) << "packets were forgotten";
  }

  uint64_t grants = 0, preemptions = 0, given_up = 0;

 private:
  static constexpr Ticks kInterval = 5000;

  struct Kthread {
    std::vector<Ticks> packets;  // when they were sent; the first is the oldest
    Ticks busy = 0;
    int cede_left = 0;  // passes until it has given its core back
  };
  struct App {
    App(uint16_t kthread_count, uint16_t cores) : fake(kthread_count, cores), kthreads(kthread_count) {}
    FakeApp fake;
    SteeringVariant steering;
    Hints hints;
    std::unique_ptr<PickInterface> pick;
    std::vector<Kthread> kthreads;
    size_t queued = 0;
  };

  static bool Failed() { return ::testing::Test::HasFatalFailure(); }

  static std::vector<CoreSpec> Siblings(uint16_t cores) {
    std::vector<CoreSpec> specs(cores);
    for (CoreId c = 0; c < cores; c++) {
      specs[c] = {c, static_cast<uint16_t>(c * 2 / cores), (c ^ 1) < cores ? static_cast<CoreId>(c ^ 1) : kNoCore};
    }
    return specs;
  }

  void Attach(AppId id) {
    const auto kthreads = static_cast<uint16_t>(1 + random_() % cores_);
    auto app = std::make_unique<App>(kthreads, cores_);
    auto steering = MakeSteering(with_.steering, {.max_kthreads = kthreads, .cores = cores_, .flows = 100});
    ASSERT_TRUE(steering.has_value()) << steering.error();
    app->steering = std::move(*steering);
    app->pick = MakePick(with_.pick, kthreads, sibling_ids_);
    int free = cores_;
    for (const AppId other : machine_.view().attached) free -= machine_.view().apps[other].guaranteed;
    const auto most = static_cast<uint32_t>(std::min<int>(free, kthreads));
    machine_.Attach(id, {.guaranteed = static_cast<uint16_t>(random_() % (most + 1)),
                         .max = kthreads,
                         .priority = random_() % 2 == 0 ? Priority::kLatencyCritical : Priority::kBestEffort,
                         .wanted = &app->hints.wanted});
    congestion_->Attach(id, kthreads);
    apps_[id] = std::move(app);
    Changed(*apps_[id]);
  }

  void Detach(AppId id) {
    machine_.Detach(id);
    congestion_->Detach(id);
    apps_[id].reset();
  }

  void Changed(App& app) {
    std::visit([&](auto& policy) { policy.OnActiveChange(app.fake.view()); }, app.steering);
  }

  void Burst(AppId id) {
    App& app = *apps_[id];
    std::vector<uint32_t> hash(random_() % 70);
    for (uint32_t& h : hash) h = FlowHash(static_cast<uint32_t>(random_() % 150));
    std::vector<KthreadId> to(hash.size(), kNoKthread);
    std::visit([&](auto& policy) { policy.SteerBurst(app.fake.view(), hash, to, now_, app.hints); }, app.steering);
    const AppView& view = app.fake.view();
    for (const KthreadId k : to) {
      ASSERT_LT(k, app.kthreads.size()) << "no kthread of the app";
      ASSERT_TRUE(view.active.empty() ? k == view.landing : view.kthreads[k].steerable);
      app.kthreads[k].packets.push_back(now_);
    }
    app.queued += to.size();
    app.fake.Send(to);
    ASSERT_TRUE((app.hints.wanted >> cores_).none()) << "a wish for a core that is not there";
  }

  void AskAboutAFlow(AppId id) {
    App& app = *apps_[id];
    FlowRequest request;
    request.kind = static_cast<FlowRequest::Kind>(random_() % 4);
    const auto flow = static_cast<uint32_t>(random_() % 150);
    request.hash = FlowHash(flow);
    request.tuple.source = flow;
    Answer(request, app.steering, app.fake.view());
    // A policy need not explain itself.
    const bool explained = request.answer.reason != SteeringReason::kUnknown;
    if (request.kind != FlowRequest::Kind::kExplain || !explained) return;
    ASSERT_LT(request.answer.kthread, app.kthreads.size());
    const AppView& view = app.fake.view();
    ASSERT_TRUE(view.active.empty() || view.kthreads[request.answer.kthread].steerable);
  }

  // One interval: kthreads work, give cores back, and get some.
  void Pass() {
    now_ += kInterval;
    for (AppId id = 0; id < apps_.size(); id++) {
      for (KthreadId k = 0; k < apps_[id]->kthreads.size(); k++) ASSERT_NO_FATAL_FAILURE(Work(id, k));
    }
    for (AppId id = 0; id < apps_.size(); id++) ASSERT_NO_FATAL_FAILURE(Decide(id));
    App& lucky = *apps_[random_() % apps_.size()];
    std::visit([&](auto& policy) { policy.Idle(static_cast<uint32_t>(random_() % 32), now_); }, lucky.steering);
    CheckCores();
  }

  void Work(AppId id, KthreadId k) {
    App& app = *apps_[id];
    Kthread& kthread = app.kthreads[k];
    const KthreadView& view = app.fake.view().kthreads[k];
    if (view.parked && kthread.cede_left == 0) return;
    if (kthread.cede_left > 0) {
      if (--kthread.cede_left == 0) HandOver(view.core);
      return;
    }
    const size_t taken = std::min<size_t>(kthread.packets.size(), random_() % 20);
    kthread.packets.erase(kthread.packets.begin(), kthread.packets.begin() + static_cast<std::ptrdiff_t>(taken));
    app.queued -= taken;
    app.fake.kthread(k).rx_consumed += static_cast<uint32_t>(taken);
    kthread.busy += taken != 0 ? kInterval : 0;
    // It spins for a while before it parks.
    if (taken == 0 && kthread.packets.empty() && random_() % 6 == 0) {
      machine_.Free(view.core);
      Leave(id, k);
    }
  }

  void Leave(AppId id, KthreadId k) {
    App& app = *apps_[id];
    app.pick->OnPark(k, app.fake.view().kthreads[k].core);
    app.fake.Park(k);
    app.fake.set_landing(k);
    Changed(app);
  }

  void Cede(AppId id, KthreadId k, AppId heir) {
    App& app = *apps_[id];
    const CoreId core = app.fake.view().kthreads[k].core;
    if (heir != kNoApp) machine_.Promise(core, heir);
    machine_.Cede(core);
    // Not steerable from now on, parked once it has answered: the fake app knows no difference.
    Leave(id, k);
    app.kthreads[k].cede_left = 1 + static_cast<int>(random_() % 3);
  }

  void HandOver(CoreId core) {
    const AppId heir = machine_.view().cores[core].promised;
    machine_.Free(core);
    if (heir == kNoApp) return;
    machine_.DropPromise(core);
    Grant(heir, core);
  }

  void Grant(AppId id, CoreId core) {
    App& app = *apps_[id];
    const KthreadId k = Choose(app, core);
    if (k == kNoKthread) return;  // all run, or have not answered yet
    ASSERT_LT(k, app.kthreads.size());
    ASSERT_TRUE(app.fake.view().kthreads[k].parked) << "picked a kthread that runs";
    machine_.Grant(core, id, k, now_);
    app.pick->OnRun(k, core);
    congestion_->OnGrant(id, now_);
    app.fake.Run(k, core);
    Changed(app);
    grants++;
  }

  // As the allocator: who has packets first, then whom the policy picks.
  KthreadId Choose(App& app, CoreId core) {
    const auto ceding = [](const Kthread& kthread) { return kthread.cede_left > 0; };
    for (KthreadId k = 0; k < app.kthreads.size(); k++) {
      const bool parked = app.fake.view().kthreads[k].parked;
      if (parked && !ceding(app.kthreads[k]) && !app.kthreads[k].packets.empty()) return k;
    }
    if (std::any_of(app.kthreads.begin(), app.kthreads.end(), ceding)) return kNoKthread;
    return app.pick->Pick(app.fake.view(), core);
  }

  void Decide(AppId id) {
    App& app = *apps_[id];
    const AppView& view = app.fake.view();
    std::vector<KthreadSignals> signals;
    for (const KthreadId k : view.active) {
      const Kthread& kthread = app.kthreads[k];
      signals.push_back({.rx_sent = view.kthreads[k].rx_sent,
                         .rx_consumed = view.kthreads[k].rx_consumed,
                         .oldest_packet = kthread.packets.empty() ? 0 : kthread.packets.front(),
                         .busy = kthread.busy,
                         .kthread = k});
    }
    bool wants = false;
    for (KthreadId k = 0; k < app.kthreads.size(); k++)
      wants |= view.kthreads[k].parked && !app.kthreads[k].packets.empty();
    if (!signals.empty()) {
      const Congestion verdict = congestion_->Poll(id, signals, now_);
      wants |= verdict == Congestion::kAddCore;
      if (verdict == Congestion::kGiveUp && view.active.size() > 1 && !wants) {
        given_up++;
        return Cede(id, view.active.back(), kNoApp);
      }
    }
    if (wants) TryAddCore(id);
  }

  void TryAddCore(AppId id) {
    const PlacementChoice choice = placement_->Choose(machine_.view(), id);
    if (choice.core == kNoCore) return;
    ASSERT_LT(choice.core, cores_);
    const CoreView& core = machine_.view().cores[choice.core];
    ASSERT_EQ(core.promised, kNoApp);
    const ShareView& share = machine_.view().apps[id];
    ASSERT_LT(share.held + share.pending, share.max);
    if (!choice.preempt) {
      ASSERT_EQ(core.owner, kNoApp);
      return Grant(id, choice.core);
    }
    ASSERT_NE(core.owner, id);
    const ShareView& owner = machine_.view().apps[core.owner];
    ASSERT_FALSE(core.ceding);
    ASSERT_GT(owner.held, owner.guaranteed);
    preemptions++;
    Cede(core.owner, core.kthread, id);
  }

  void CheckCores() {
    for (CoreId c = 0; c < cores_; c++) {
      const CoreView& core = machine_.view().cores[c];
      for (AppId id = 0; id < apps_.size(); id++) {
        const KthreadId k = apps_[id]->fake.view().on_core[c];
        ASSERT_EQ(k != kNoKthread, core.owner == id && !core.ceding) << "core " << c << ", app " << id;
        if (k != kNoKthread) {
          ASSERT_EQ(core.kthread, k);
        }
      }
    }
    for (const AppId id : machine_.view().attached) {
      const ShareView& share = machine_.view().apps[id];
      ASSERT_EQ(share.held, apps_[id]->fake.active().size());
      ASSERT_LE(share.held + share.pending, share.max);
    }
  }

  const Combination with_;
  std::mt19937 random_;
  const uint16_t cores_;
  const std::vector<CoreSpec> siblings_;
  Machine machine_;
  std::vector<CoreId> sibling_ids_;
  std::unique_ptr<CongestionInterface> congestion_;
  std::unique_ptr<PlacementInterface> placement_;
  std::vector<std::unique_ptr<App>> apps_;
  Ticks now_ = 1'000'000;
};

TEST(Combinations, NoneBreaksAnInvariant) {
  testing::StartEal();
  uint64_t grants = 0, preemptions = 0, given_up = 0;
  uint32_t seed = 0;
  for (const auto& steering : Names(PolicyKind::kSteering)) {
    for (const auto& pick : Names(PolicyKind::kPick)) {
      for (const auto& congestion : Names(PolicyKind::kCongestion)) {
        for (const auto& placement : Names(PolicyKind::kPlacement)) {
          for (int i = 0; i < 4; i++) {
            seed++;
            SCOPED_TRACE(::testing::Message()
                         << steering << " " << pick << " " << congestion << " " << placement << ", seed " << seed);
            World world({steering, pick, congestion, placement}, seed);
            world.Run(250);
            if (!::testing::Test::HasFatalFailure()) world.Drain();
            ASSERT_FALSE(::testing::Test::HasFailure());
            grants += world.grants;
            preemptions += world.preemptions;
            given_up += world.given_up;
          }
        }
      }
    }
  }
  // All of it happened.
  EXPECT_GT(grants, 10'000u);
  EXPECT_GT(preemptions, 1000u);
  EXPECT_GT(given_up, 100u);
}

}  // namespace
}  // namespace sluice
