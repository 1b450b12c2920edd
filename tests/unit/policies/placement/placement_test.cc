// All placement policies: against their order of preference said core by core; and on random machines no guarantee
// is broken, nobody starves, nobody swaps. simple_test pins the rules that they share one by one.
#include <gtest/gtest.h>

#include <tuple>

#include "policies/registry.h"
#include "tests/unit/policies/placement/random_machine.h"

namespace sluice {
namespace {

using testing::RandomMachine;

constexpr Priority kLc = Priority::kLatencyCritical;

std::vector<std::string_view> Names() {
  std::vector<std::string_view> names;
  for (const PolicyInfo& policy : PolicyList()) {
    if (policy.kind == PolicyKind::kPlacement) names.push_back(policy.name);
  }
  return names;
}

// How much the policy likes a core by its own lights: more is better.
int Liking(std::string_view policy, const RandomMachine& world, AppId app, CoreId id) {
  const bool critical = world.Share(app).priority == kLc;
  const CoreView& core = world.Core(id);
  if (policy == "numa") {
    const bool near = world.machine.view().near_nic->test(id);
    return near == critical ? 1 : 0;
  }
  if (policy == "sibling-aware") {
    const AppId beside = core.sibling == kNoCore ? kNoApp : world.Core(core.sibling).owner;
    const bool alone = beside == kNoApp;
    const bool beside_critical = !alone && world.Share(beside).priority == kLc;
    if (critical) return alone ? 3 : beside == app ? 2 : beside_critical ? 0 : 1;
    return alone ? 1 : beside_critical ? 0 : 2;
  }
  return 0;
}

// The core of `owner` (kNoApp: idle) that comes first in every order of preference.
CoreId Best(std::string_view policy, const RandomMachine& world, AppId app, AppId owner) {
  using Rank = std::tuple<int, bool, bool, Ticks>;
  CoreId best = kNoCore;
  Rank best_rank;
  for (CoreId id = 0; id < world.cores; id++) {
    const CoreView& core = world.Core(id);
    if (core.owner != owner || core.promised != kNoApp || core.ceding) continue;
    const Rank rank{Liking(policy, world, app, id), world.wanted[app].test(id), core.last_owner == app,
                    owner == kNoApp ? 0 : core.owned_since};
    if (best != kNoCore && rank <= best_rank) continue;
    best = id;
    best_rank = rank;
  }
  return best;
}

bool AnyIdle(const RandomMachine& world) {
  for (CoreId c = 0; c < world.cores; c++) {
    if (world.Core(c).owner == kNoApp && world.Core(c).promised == kNoApp) return true;
  }
  return false;
}

void CheckChoice(std::string_view policy, const RandomMachine& world, AppId app, PlacementChoice choice) {
  const ShareView& asker = world.Share(app);
  ASSERT_LT(asker.held + asker.pending, asker.max);
  if (!choice.preempt) {
    ASSERT_EQ(choice.core, Best(policy, world, app, kNoApp));
    return;
  }
  ASSERT_FALSE(AnyIdle(world)) << "took a core though one is idle";
  const AppId victim = world.Core(choice.core).owner;
  ASSERT_NE(victim, kNoApp);
  ASSERT_NE(victim, app);
  const ShareView& owner = world.Share(victim);
  ASSERT_GT(owner.held, owner.guaranteed) << "a guarantee was broken";
  const bool entitled = asker.held + asker.pending < asker.guaranteed;
  const bool yields = asker.priority == kLc && owner.priority != kLc;
  const bool shares =
      asker.held + asker.pending == 0 && owner.held > 1 && (asker.priority == kLc || owner.priority != kLc);
  ASSERT_TRUE(entitled || yields || shares);
  for (AppId other = 0; other < world.apps; other++) {
    const ShareView& share = world.Share(other);
    if (other == app || share.priority == kLc) continue;
    ASSERT_LE(share.held - share.guaranteed, owner.priority == kLc ? 0 : owner.held - owner.guaranteed)
        << "there is a best-effort app further above its guarantee";
  }
  const CoreId best = Best(policy, world, app, victim);
  // Of cores that were granted at the same time, any.
  ASSERT_EQ(world.Core(choice.core).owned_since, world.Core(best).owned_since);
  ASSERT_EQ(Liking(policy, world, app, choice.core), Liking(policy, world, app, best));
  ASSERT_EQ(world.wanted[app].test(choice.core), world.wanted[app].test(best));
  ASSERT_EQ(world.Core(choice.core).last_owner == app, world.Core(best).last_owner == app);
}

TEST(Placement, ChoosesInTheOrderOfItsRulesAndNobodyStarves) {
  // Two cedes in a row (to somebody who bursts, and then from there).
  constexpr int kPatience = 2 * RandomMachine::kCedeSteps + 2;
  for (const std::string_view name : Names()) {
    const auto policy = MakePlacement(name);
    for (uint32_t seed = 1; seed <= 250; seed++) {
      SCOPED_TRACE(std::string(name) + ", seed " + std::to_string(seed));
      RandomMachine world(seed, 16);
      std::vector<int> hungry_since(world.apps);
      for (int step = 0; step < 150; step++) {
        world.Drift();
        for (AppId app = 0; app < world.apps; app++) {
          while (world.WantsMore(app)) {
            const PlacementChoice choice = policy->Choose(world.machine.view(), app);
            if (choice.core == kNoCore) {
              ASSERT_FALSE(AnyIdle(world)) << "refused though a core is idle";
              break;
            }
            ASSERT_NO_FATAL_FAILURE(CheckChoice(name, world, app, choice)) << "step " << step;
            world.Carry(app, choice);
          }
          const ShareView& share = world.Share(app);
          const bool starving = share.held < std::min(share.guaranteed, world.demand[app]);
          if (!starving) hungry_since[app] = step;
          ASSERT_LT(step - hungry_since[app], kPatience) << "app " << app << " starves below its guarantee";
        }
      }
    }
  }
}

// What sibling-aware is for: a latency-critical app and a best-effort one that fit in whole cores never share one.
TEST(SiblingAware, PrioritiesShareNoCoreWhileThereIsRoom) {
  std::vector<CoreSpec> cores(16);
  for (CoreId c = 0; c < 16; c++) cores[c].sibling = c ^ 1;
  const auto shared = [&](std::string_view name) {
    Machine machine(cores, 0);
    machine.Attach(0, {.max = 16, .priority = kLc});
    machine.Attach(1, {.max = 16, .priority = Priority::kBestEffort});
    const auto policy = MakePlacement(name);
    for (int i = 0; i < 8; i++) {
      // 4 latency-critical kthreads on 4 whole cores; 4 best-effort ones fill two.
      const AppId app = i % 2 == 0 ? 0 : 1;
      machine.Grant(policy->Choose(machine.view(), app).core, app, 0, 1);
    }
    return (machine.view().app_cores[0].held & *machine.view().beside_best_effort).count();
  };
  EXPECT_EQ(shared("sibling-aware"), 0u);
  EXPECT_EQ(shared("simple"), 4u) << "the canary";
}

TEST(Numa, LatencyCriticalAppsGetTheNicsNode) {
  std::vector<CoreSpec> cores(8);
  for (CoreId c = 0; c < 8; c++) cores[c].node = c / 4;
  Machine machine(cores, 1);
  machine.Attach(0, {.max = 8, .priority = kLc});
  machine.Attach(1, {.max = 8, .priority = Priority::kBestEffort});
  const auto policy = MakePlacement("numa");
  for (int i = 0; i < 8; i++) {
    const AppId app = i % 2 == 0 ? 0 : 1;
    const CoreId core = policy->Choose(machine.view(), app).core;
    EXPECT_EQ(cores[core].node, app == 0 ? 1 : 0);
    machine.Grant(core, app, 0, 1);
  }
}

}  // namespace
}  // namespace sluice
