// simple: its order of preference, and on random machines: no guarantee broken, nobody starved, no swapping.
#include "policies/placement/simple.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "policies/placement/null.h"

namespace sluice {
namespace {

constexpr Priority kLc = Priority::kLatencyCritical;
constexpr Priority kBe = Priority::kBestEffort;

// Cores and shares as an allocator would keep them.
class Machine {
 public:
  Machine(uint16_t cores, uint16_t apps) : cores_(cores), apps_(apps), wanted_(apps) {
    for (AppId a = 0; a < apps; a++) apps_[a].wanted = &wanted_[a];
  }
  AppId Attach(AppId app, uint16_t guaranteed, uint16_t max, Priority priority) {
    apps_[app].attached = true;
    apps_[app].guaranteed = guaranteed;
    apps_[app].max = max;
    apps_[app].priority = priority;
    return app;
  }
  void Give(CoreId core, AppId app) {
    CoreView& c = cores_[core];
    if (c.promised != kNoApp) apps_[c.promised].pending--;
    c.promised = kNoApp;
    c.owner = app;
    c.owned_since = ++clock_;
    apps_[app].held++;
  }
  void Release(CoreId core) {
    CoreView& c = cores_[core];
    if (!c.ceding) apps_[c.owner].held--;
    c.last_owner = c.owner;
    c.owner = kNoApp;
    c.ceding = false;
  }
  void Cede(CoreId core, AppId promised) {
    CoreView& c = cores_[core];
    c.ceding = true;
    apps_[c.owner].held--;
    c.promised = promised;
    apps_[promised].pending++;
  }
  PlacementChoice Choose(AppId app) { return policy_.Choose(view(), app); }
  void Want(AppId app, CoreId core) { wanted_[app].set(core); }

  [[nodiscard]] MachineView view() const { return {.cores = cores_, .apps = apps_}; }
  CoreView& core(CoreId c) { return cores_[c]; }
  ShareView& app(AppId a) { return apps_[a]; }
  [[nodiscard]] uint16_t cores() const { return static_cast<uint16_t>(cores_.size()); }
  [[nodiscard]] uint16_t apps() const { return static_cast<uint16_t>(apps_.size()); }

 private:
  SimplePlacement policy_;
  std::vector<CoreView> cores_;
  std::vector<ShareView> apps_;
  std::vector<CoreSet> wanted_;
  Ticks clock_ = 0;
};

void ExpectChoice(PlacementChoice choice, CoreId core, bool preempt) {
  EXPECT_EQ(choice.core, core);
  EXPECT_EQ(choice.preempt, preempt);
}

TEST(Simple, IdleCoresWantedThenLastUsedThenAny) {
  Machine m(4, 2);
  const AppId app = m.Attach(0, 0, 4, kLc);
  ExpectChoice(m.Choose(app), 0, false);
  m.core(2).last_owner = app;
  ExpectChoice(m.Choose(app), 2, false);
  m.Want(app, 3);
  ExpectChoice(m.Choose(app), 3, false);
  m.Attach(1, 0, 4, kLc);
  m.Give(3, 1);
  ExpectChoice(m.Choose(app), 2, false);
}

TEST(Simple, AnIdleCoreThatIsPromisedIsNotIdle) {
  Machine m(1, 2);
  m.Attach(0, 0, 1, kLc);
  m.Attach(1, 0, 1, kLc);
  m.core(0).promised = 1;
  ExpectChoice(m.Choose(0), kNoCore, false);
}

TEST(Simple, NotMoreThanMax) {
  Machine m(4, 1);
  m.Attach(0, 2, 2, kLc);
  m.Give(0, 0);
  m.app(0).pending = 1;
  ExpectChoice(m.Choose(0), kNoCore, false);
}

TEST(Simple, TakesFromBestEffortFirstThenFromTheFurthestAboveItsGuarantee) {
  Machine m(8, 4);
  m.Attach(0, 2, 8, kLc);
  m.Attach(1, 0, 8, kLc);
  m.Attach(2, 1, 8, kBe);
  m.Attach(3, 0, 8, kBe);
  for (CoreId c = 0; c < 4; c++) m.Give(c, 1);  // latency-critical, 4 above
  for (CoreId c = 4; c < 6; c++) m.Give(c, 2);  // best-effort, 1 above
  for (CoreId c = 6; c < 8; c++) m.Give(c, 3);  // best-effort, 2 above
  ExpectChoice(m.Choose(0), 7, true);           // of app 3, the one granted last
  m.Cede(7, 0);
  ExpectChoice(m.Choose(0), 5, true);  // apps 2 and 3 are level; the lower id
  m.Cede(5, 0);
  ExpectChoice(m.Choose(0), 6, true);  // its guarantee is met: it bursts, over best-effort only
  m.Cede(6, 0);
  ExpectChoice(m.Choose(0), kNoCore, false);  // what is left is a guarantee, and a latency-critical burst
}

TEST(Simple, BelowItsGuaranteeAnAppTakesFromALatencyCriticalBurst) {
  Machine m(2, 2);
  m.Attach(0, 1, 2, kBe);
  m.Attach(1, 1, 2, kLc);
  m.Give(0, 1);
  m.Give(1, 1);
  ExpectChoice(m.Choose(0), 1, true);
}

TEST(Simple, OfTheVictimsCoresWantedThenLastUsedThenTheLatestGrant) {
  Machine m(3, 2);
  m.Attach(0, 0, 3, kLc);
  m.Attach(1, 0, 3, kBe);
  for (CoreId c : {2, 1, 0}) m.Give(c, 1);
  ExpectChoice(m.Choose(0), 0, true);
  m.core(1).last_owner = 0;
  ExpectChoice(m.Choose(0), 1, true);
  m.Want(0, 2);
  ExpectChoice(m.Choose(0), 2, true);
}

TEST(Simple, BurstsOfOnePriorityAreNotSwapped) {
  for (const Priority priority : {kLc, kBe}) {
    Machine m(2, 2);
    m.Attach(0, 0, 2, priority);
    m.Attach(1, 0, 2, priority);
    m.Give(0, 1);
    m.Give(1, 1);
    ExpectChoice(m.Choose(0), kNoCore, false);
  }
}

TEST(Simple, BestEffortNeverTakesFromLatencyCritical) {
  Machine m(2, 2);
  m.Attach(0, 0, 2, kBe);
  m.Attach(1, 0, 2, kLc);
  m.Give(0, 1);
  m.Give(1, 1);
  ExpectChoice(m.Choose(0), kNoCore, false);
}

// A random machine under random demand; cedes take a while.
class RandomMachine {
 public:
  explicit RandomMachine(uint32_t seed)
      : random_(seed),
        m_(static_cast<uint16_t>(1 + random_() % 12), static_cast<uint16_t>(1 + random_() % 5)),
        demand_(m_.apps()),
        hungry_since_(m_.apps()) {
    int free = m_.cores();
    for (AppId a = 0; a < m_.apps(); a++) {
      const auto guaranteed = static_cast<uint16_t>(random_() % (free + 1));
      free -= guaranteed;
      const auto max = static_cast<uint16_t>(std::max<int>(guaranteed, 1 + static_cast<int>(random_() % m_.cores())));
      m_.Attach(a, guaranteed, max, random_() % 2 == 0 ? kLc : kBe);
    }
  }

  void Step(int step) {
    for (AppId a = 0; a < m_.apps(); a++) {
      if (random_() % 16 == 0) demand_[a] = static_cast<uint16_t>(random_() % (m_.app(a).max + 1));
    }
    for (CoreId c = 0; c < m_.cores(); c++) ReleaseSome(c);
    for (AppId a = 0; a < m_.apps(); a++) {
      while (m_.app(a).held + m_.app(a).pending < demand_[a]) {
        const PlacementChoice choice = m_.Choose(a);
        if (choice.core == kNoCore) break;
        ASSERT_NO_FATAL_FAILURE(Carry(a, choice));
      }
      const ShareView& share = m_.app(a);
      const bool starving = share.held < std::min(share.guaranteed, demand_[a]);
      if (!starving) hungry_since_[a] = step;
      ASSERT_LT(step - hungry_since_[a], kPatience) << "app " << a << " starves below its guarantee";
    }
  }

 private:
  // Two cedes in a row (to somebody who bursts, and then from there), each of at most kCedeSteps.
  static constexpr int kCedeSteps = 4;
  static constexpr int kPatience = 2 * kCedeSteps + 2;

  void ReleaseSome(CoreId c) {
    CoreView& core = m_.core(c);
    if (core.owner == kNoApp) return;
    if (core.ceding) {
      if (--cede_left_[c] > 0) return;
      const AppId next = core.promised;
      m_.Release(c);
      m_.Give(c, next);
    } else if (m_.app(core.owner).held > demand_[core.owner]) {
      m_.Release(c);  // parks for want of work
    }
  }

  void Carry(AppId app, PlacementChoice choice) {
    CoreView& core = m_.core(choice.core);
    ASSERT_EQ(core.promised, kNoApp);
    ASSERT_LT(m_.app(app).held + m_.app(app).pending, m_.app(app).max);
    if (!choice.preempt) {
      ASSERT_EQ(core.owner, kNoApp);
      m_.Give(choice.core, app);
      return;
    }
    const ShareView& asker = m_.app(app);
    const ShareView& owner = m_.app(core.owner);
    ASSERT_NE(core.owner, kNoApp);
    ASSERT_NE(core.owner, app);
    ASSERT_FALSE(core.ceding);
    ASSERT_GT(owner.held, owner.guaranteed) << "a guarantee was broken";
    ASSERT_TRUE(asker.held + asker.pending < asker.guaranteed || (asker.priority == kLc && owner.priority == kBe));
    for (const CoreView& c : m_.view().cores) ASSERT_FALSE(c.owner == kNoApp && c.promised == kNoApp) << "one is idle";
    m_.Cede(choice.core, app);
    cede_left_[choice.core] = 1 + static_cast<int>(random_() % kCedeSteps);
  }

  std::mt19937 random_;
  Machine m_;
  std::vector<uint16_t> demand_;
  std::vector<int> hungry_since_;
  int cede_left_[16] = {};
};

TEST(Simple, OnRandomMachinesGuaranteesHoldAndNobodyStarves) {
  for (uint32_t seed = 1; seed <= 500; seed++) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RandomMachine machine(seed);
    for (int step = 0; step < 200; step++) {
      ASSERT_NO_FATAL_FAILURE(machine.Step(step)) << "step " << step;
    }
  }
}

TEST(NullPlacement, GivesNothing) {
  Machine m(4, 1);
  m.Attach(0, 1, 4, kLc);
  ExpectChoice(NullPlacement().Choose(m.view(), 0), kNoCore, false);
}

}  // namespace
}  // namespace sluice
