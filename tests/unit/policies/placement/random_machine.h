// random_machine.h - a machine under random demand: apps want more or fewer cores, cedes take a while.
#pragma once

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

#include "policies/machine.h"

namespace sluice::testing {

inline std::vector<CoreSpec> RandomCores(std::mt19937& random, uint16_t count) {
  std::vector<CoreSpec> cores(count);
  const bool threads = random() % 3 != 0;
  for (CoreId c = 0; c < count; c++) {
    cores[c].cpu = c;
    cores[c].node = static_cast<uint16_t>(c * 2 / count);
    // The last sibling may not be managed here.
    if (threads && (c ^ 1) < count) cores[c].sibling = c ^ 1;
  }
  return cores;
}

class RandomMachine {
 public:
  RandomMachine(uint32_t seed, uint16_t most_cores)
      : random(seed),
        cores(static_cast<uint16_t>(1 + random() % most_cores)),
        apps(static_cast<uint16_t>(1 + random() % 6)),
        machine(RandomCores(random, cores), static_cast<uint16_t>(random() % 2)),
        wanted(apps),
        demand(apps),
        cede_left_(cores) {
    int free = cores;
    for (AppId a = 0; a < apps; a++) {
      const auto guaranteed = static_cast<uint16_t>(random() % (static_cast<uint32_t>(free) + 1));
      free -= guaranteed;
      const auto max = static_cast<uint16_t>(std::max<int>(guaranteed, 1 + static_cast<int>(random() % cores)));
      machine.Attach(a, {.guaranteed = guaranteed,
                         .max = max,
                         .priority = random() % 2 == 0 ? Priority::kLatencyCritical : Priority::kBestEffort,
                         .wanted = &wanted[a]});
    }
  }

  // New wishes; kthreads without work park; cedes come to their end.
  void Drift() {
    now++;
    for (AppId a = 0; a < apps; a++) {
      if (random() % 16 == 0) demand[a] = static_cast<uint16_t>(random() % (Share(a).max + 1u));
      if (random() % 8 == 0) wanted[a].flip(random() % cores);
    }
    for (CoreId c = 0; c < cores; c++) ReleaseSome(c);
  }

  [[nodiscard]] bool WantsMore(AppId app) const { return Share(app).held + Share(app).pending < demand[app]; }

  void Carry(AppId app, PlacementChoice choice) {
    if (!choice.preempt) {
      machine.Grant(choice.core, app, 0, now);
      return;
    }
    machine.Promise(choice.core, app);
    machine.Cede(choice.core);
    cede_left_[choice.core] = 1 + static_cast<int>(random() % kCedeSteps);
  }

  [[nodiscard]] const CoreView& Core(CoreId core) const { return machine.view().cores[core]; }
  [[nodiscard]] const ShareView& Share(AppId app) const { return machine.view().apps[app]; }

  static constexpr int kCedeSteps = 4;

  std::mt19937 random;
  uint16_t cores, apps;
  Machine machine;
  std::vector<CoreSet> wanted;
  std::vector<uint16_t> demand;
  Ticks now = 0;

 private:
  void ReleaseSome(CoreId c) {
    const CoreView& core = Core(c);
    if (core.owner == kNoApp) return;
    if (core.ceding) {
      if (--cede_left_[c] > 0) return;
      const AppId next = core.promised;
      machine.Free(c);
      machine.DropPromise(c);
      machine.Grant(c, next, 0, now);
    } else if (Share(core.owner).held > demand[core.owner]) {
      machine.Free(c);  // parks for want of work
    }
  }

  std::vector<int> cede_left_;
};

}  // namespace sluice::testing
