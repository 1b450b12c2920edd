// Machine: its sets, lists and counts are at all times what a look at every core would find.
#include "policies/machine.h"

#include <gtest/gtest.h>

#include "policies/placement/simple.h"
#include "tests/unit/policies/placement/random_machine.h"

namespace sluice {
namespace {

void ExpectInStep(const MachineView& view) {
  std::vector<AppCores> apps(view.apps.size());
  std::vector<uint16_t> held(view.apps.size()), pending(view.apps.size());
  CoreSet idle, beside[2];
  for (CoreId id = 0; id < view.cores.size(); id++) {
    const CoreView& core = view.cores[id];
    if (core.last_owner != kNoApp) apps[core.last_owner].last.set(id);
    if (core.promised != kNoApp) pending[core.promised]++;
    idle.set(id, core.owner == kNoApp && core.promised == kNoApp);
    if (core.owner == kNoApp) continue;
    held[core.owner] = static_cast<uint16_t>(held[core.owner] + (core.ceding ? 0 : 1));
    apps[core.owner].held.set(id, !core.ceding && core.promised == kNoApp);
    if (core.sibling == kNoCore) continue;
    apps[core.owner].beside.set(core.sibling);
    beside[static_cast<size_t>(view.apps[core.owner].priority)].set(core.sibling);
  }
  ASSERT_EQ(*view.idle, idle);
  ASSERT_EQ(*view.beside_latency_critical, beside[0]);
  ASSERT_EQ(*view.beside_best_effort, beside[1]);
  for (AppId app = 0; app < view.apps.size(); app++) {
    ASSERT_EQ(view.apps[app].held, held[app]) << app;
    ASSERT_EQ(view.apps[app].pending, pending[app]) << app;
    ASSERT_EQ(view.app_cores[app].held, apps[app].held) << app;
    ASSERT_EQ(view.app_cores[app].last, apps[app].last) << app;
    ASSERT_EQ(view.app_cores[app].beside, apps[app].beside) << app;
    CoreSet listed;
    Ticks since = ~Ticks{0};
    for (CoreId core = view.app_cores[app].newest; core != kNoCore; core = view.cores[core].older) {
      ASSERT_FALSE(listed.test(core));
      listed.set(core);
      ASSERT_LE(view.cores[core].owned_since, since) << "the newest first";
      since = view.cores[core].owned_since;
    }
    ASSERT_EQ(listed, apps[app].held);
  }
}

TEST(Machine, SetsAndListsAreWhatALookAtEveryCoreFinds) {
  for (uint32_t seed = 1; seed <= 150; seed++) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    testing::RandomMachine world(seed, 40);
    SimplePlacement policy;
    for (int step = 0; step < 100; step++) {
      world.Drift();
      for (AppId app = 0; app < world.apps; app++) {
        for (PlacementChoice choice; world.WantsMore(app);) {
          choice = policy.Choose(world.machine.view(), app);
          if (choice.core == kNoCore) break;
          world.Carry(app, choice);
        }
      }
      ASSERT_NO_FATAL_FAILURE(ExpectInStep(world.machine.view())) << "step " << step;
    }
    // Gone in the middle of everything, and somebody else under the same id.
    const auto app = static_cast<AppId>(world.random() % world.apps);
    world.machine.Detach(app);
    ASSERT_NO_FATAL_FAILURE(ExpectInStep(world.machine.view()));
    world.machine.Attach(app, {.max = 1});
    ASSERT_NO_FATAL_FAILURE(ExpectInStep(world.machine.view()));
    for (AppId all = 0; all < world.apps; all++) world.machine.Detach(all);
    EXPECT_EQ(world.machine.view().idle->count(), world.cores);
    EXPECT_EQ(world.machine.idle_cores(), world.cores);
  }
}

TEST(MachineDeathTest, ACoreHasOneOwner) {
  const std::vector<CoreSpec> cores(2);
  Machine machine(cores, 0);
  machine.Attach(0, {.max = 2});
  machine.Grant(0, 0, 0, 1);
  EXPECT_DEATH(machine.Grant(0, 0, 1, 2), "not free");
  EXPECT_DEATH(machine.Free(1), "nobody has");
  EXPECT_DEATH(machine.DropPromise(1), "promised to nobody");
}

}  // namespace
}  // namespace sluice
