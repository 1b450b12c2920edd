// "None may allocate after it was made" (concepts.h): every policy of the registry is driven while operator new
// counts. What it allocates would show up as jitter of the data path.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>
#include <random>

#include "policies/machine.h"
#include "policies/registry.h"
#include "tests/lib/eal.h"
#include "tests/unit/policies/fake_app.h"

namespace {
thread_local size_t allocations = 0;
}  // namespace

void* operator new(size_t bytes) {
  allocations++;
  if (void* memory = std::malloc(bytes)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t /*bytes*/) noexcept { std::free(memory); }

namespace sluice {
namespace {

using testing::FakeApp;

// Kthreads come and go with packets in the rings, homes move, a small table overflows.
TEST(NoAllocation, Steering) {
  testing::StartEal();
  for (const PolicyInfo& info : PolicyList()) {
    if (info.kind != PolicyKind::kSteering) continue;
    auto policy = MakeSteering(info.name, {.max_kthreads = 4, .cores = 4, .flows = 200});
    ASSERT_TRUE(policy.has_value()) << policy.error();
    FakeApp app(4, 8);
    std::mt19937 random(1);
    std::vector<uint32_t> hash(256);
    std::vector<KthreadId> out(256);
    Hints hints;
    for (int step = 0; step < 2000; step++) {
      const auto k = static_cast<KthreadId>(random() % 4);
      const auto core = static_cast<CoreId>(random() % 8);
      if (app.IsActive(k)) {
        app.Park(k);
      } else if (app.view().on_core[core] == kNoKthread) {
        app.Run(k, core);
      }
      for (uint32_t& h : hash) h = static_cast<uint32_t>(random() % 400);
      const auto before = allocations;
      std::visit(
          [&](auto& p) {
            p.OnActiveChange(app.view());
            p.SteerBurst(app.view(), hash, out, 0, hints);
            p.Idle(16, 0);
          },
          *policy);
      ASSERT_EQ(allocations, before) << info.name;
      app.Send(out);
      if (step % 3 == 0) app.ConsumeAll();
    }
  }
}

TEST(NoAllocation, PickCongestionAndPlacement) {
  const std::vector<CoreId> sibling = {1, 0, 3, 2};
  for (const PolicyInfo& info : PolicyList()) {
    if (info.kind == PolicyKind::kPick) {
      const auto pick = MakePick(info.name, 8, sibling);
      const auto before = allocations;
      for (int i = 0; i < 100; i++) {
        const auto core = static_cast<CoreId>(i % 4);
        const KthreadId k = pick->Pick({}, core);
        pick->OnRun(k, core);
        pick->OnPark(k, core);
      }
      EXPECT_EQ(allocations, before) << info.name;
    } else if (info.kind == PolicyKind::kCongestion) {
      const auto congestion = MakeCongestion(info.name, {.interval = 1000});
      const std::vector<KthreadSignals> signals = {{.rq_tail = 3, .kthread = 0}, {.rq_tail = 9, .kthread = 1023}};
      const auto before = allocations;
      for (AppId app = 0; app < kMaxApps; app++) {
        congestion->Attach(app, kMaxCores);
        for (Ticks now = 0; now < 4; now++) (void)congestion->Poll(app, signals, now);
        congestion->OnGrant(app, 4);
        congestion->Detach(app);
      }
      EXPECT_EQ(allocations, before) << info.name;
    } else if (info.kind == PolicyKind::kPlacement) {
      const auto placement = MakePlacement(info.name);
      Machine machine(std::vector<CoreSpec>(16), 0);
      const auto before = allocations;
      machine.Attach(0, {.max = 16, .priority = Priority::kBestEffort});
      machine.Attach(1, {.max = 16});
      for (int i = 0; i < 16; i++) machine.Grant(placement->Choose(machine.view(), 0).core, 0, 0, 1);
      const CoreId taken = placement->Choose(machine.view(), 1).core;
      machine.Promise(taken, 1);
      machine.Cede(taken);
      machine.Free(taken);
      machine.Detach(1);
      machine.Detach(0);
      EXPECT_EQ(allocations, before) << info.name;
    }
  }
}

}  // namespace
}  // namespace sluice
