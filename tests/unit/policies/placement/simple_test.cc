// simple: its order of preference, and whom it takes cores from, case by case. Random machines: placement_test.
#include "policies/placement/simple.h"

#include <gtest/gtest.h>

#include <vector>

#include "policies/machine.h"
#include "policies/placement/null.h"

namespace sluice {
namespace {

constexpr Priority kLc = Priority::kLatencyCritical;
constexpr Priority kBe = Priority::kBestEffort;

class World {
 public:
  World(uint16_t cores, uint16_t apps) : machine_(std::vector<CoreSpec>(cores), 0), wanted_(apps) {}
  AppId Attach(AppId app, uint16_t guaranteed, uint16_t max, Priority priority) {
    machine_.Attach(app, {.guaranteed = guaranteed, .max = max, .priority = priority, .wanted = &wanted_[app]});
    return app;
  }
  void Give(CoreId core, AppId app) { machine_.Grant(core, app, 0, ++clock_); }
  // `app` had the core last.
  void Had(AppId app, CoreId core) {
    Give(core, app);
    machine_.Free(core);
  }
  void Promise(CoreId core, AppId app) { machine_.Promise(core, app); }
  void Cede(CoreId core, AppId promised) {
    machine_.Promise(core, promised);
    machine_.Cede(core);
  }
  PlacementChoice Choose(AppId app) { return policy_.Choose(machine_.view(), app); }
  void Want(AppId app, CoreId core) { wanted_[app].set(core); }
  [[nodiscard]] const MachineView& view() const { return machine_.view(); }

 private:
  SimplePlacement policy_;
  Machine machine_;
  std::vector<CoreSet> wanted_;
  Ticks clock_ = 0;
};

void ExpectChoice(PlacementChoice choice, CoreId core, bool preempt) {
  EXPECT_EQ(choice.core, core);
  EXPECT_EQ(choice.preempt, preempt);
}

TEST(Simple, IdleCoresWantedThenLastUsedThenAny) {
  World m(4, 2);
  const AppId app = m.Attach(0, 0, 4, kLc);
  ExpectChoice(m.Choose(app), 0, false);
  m.Had(app, 2);
  ExpectChoice(m.Choose(app), 2, false);
  m.Want(app, 3);
  ExpectChoice(m.Choose(app), 3, false);
  m.Attach(1, 0, 4, kLc);
  m.Give(3, 1);
  ExpectChoice(m.Choose(app), 2, false);
}

TEST(Simple, AnIdleCoreThatIsPromisedIsNotIdle) {
  World m(1, 2);
  m.Attach(0, 0, 1, kLc);
  m.Attach(1, 0, 1, kLc);
  m.Promise(0, 1);
  ExpectChoice(m.Choose(0), kNoCore, false);
}

TEST(Simple, NotMoreThanMax) {
  World m(4, 1);
  m.Attach(0, 2, 2, kLc);
  m.Give(0, 0);
  m.Promise(1, 0);
  ExpectChoice(m.Choose(0), kNoCore, false);
}

TEST(Simple, TakesFromBestEffortFirstThenFromTheFurthestAboveItsGuarantee) {
  World m(8, 4);
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
  World m(2, 2);
  m.Attach(0, 1, 2, kBe);
  m.Attach(1, 1, 2, kLc);
  m.Give(0, 1);
  m.Give(1, 1);
  ExpectChoice(m.Choose(0), 1, true);
}

TEST(Simple, OfTheVictimsCoresWantedThenLastUsed) {
  World m(3, 2);
  m.Attach(0, 0, 3, kLc);
  m.Attach(1, 0, 3, kBe);
  m.Had(0, 1);
  for (CoreId c : {2, 1, 0}) m.Give(c, 1);
  ExpectChoice(m.Choose(0), 1, true);
  m.Want(0, 2);
  ExpectChoice(m.Choose(0), 2, true);
}

TEST(Simple, OfTheVictimsCoresTheLatestGrant) {
  World m(3, 2);
  m.Attach(0, 0, 3, kLc);
  m.Attach(1, 0, 3, kBe);
  for (CoreId c : {1, 2, 0}) m.Give(c, 1);
  ExpectChoice(m.Choose(0), 0, true);
  m.Cede(0, 0);
  ExpectChoice(m.Choose(0), 2, true);
}

TEST(Simple, BurstsOfOnePriorityAreNotSwapped) {
  for (const Priority priority : {kLc, kBe}) {
    World m(4, 2);
    m.Attach(0, 0, 4, priority);
    m.Attach(1, 0, 4, priority);
    m.Give(0, 0);
    for (CoreId c = 1; c < 4; c++) m.Give(c, 1);
    ExpectChoice(m.Choose(0), kNoCore, false);
  }
}

// regression guard: an app that was busy on every core left the others without any until it ended
TEST(Simple, ABurstShutsNobodyOut) {
  for (const Priority priority : {kLc, kBe}) {
    World m(3, 4);
    m.Attach(0, 0, 3, priority);
    m.Attach(1, 0, 3, priority);
    m.Attach(2, 0, 3, priority);
    for (CoreId c = 0; c < 3; c++) m.Give(c, 1);
    ExpectChoice(m.Choose(0), 2, true);
    m.Cede(2, 0);
    ExpectChoice(m.Choose(0), kNoCore, false);  // one is on its way
    ExpectChoice(m.Choose(2), 1, true);
    m.Cede(1, 2);
    m.Attach(3, 0, 3, priority);
    ExpectChoice(m.Choose(3), kNoCore, false);  // the owner has one left
  }
}

TEST(Simple, BestEffortNeverTakesFromLatencyCritical) {
  World m(3, 2);
  m.Attach(0, 0, 2, kBe);
  m.Attach(1, 0, 3, kLc);
  for (CoreId c = 0; c < 3; c++) m.Give(c, 1);
  ExpectChoice(m.Choose(0), kNoCore, false);
}

TEST(NullPlacement, GivesNothing) {
  World m(4, 1);
  m.Attach(0, 1, 4, kLc);
  ExpectChoice(NullPlacement().Choose(m.view(), 0), kNoCore, false);
}

}  // namespace
}  // namespace sluice
