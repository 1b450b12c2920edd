// A sleeping app is about to be given a core for a packet: which core its flow would like.
#include <gtest/gtest.h>

#include "policies/registry.h"
#include "tests/lib/eal.h"
#include "tests/unit/policies/fake_app.h"

namespace sluice {
namespace {

using testing::FakeApp;
using testing::FlowHash;

TEST(Wish, AFlowWithAHomeWishesForTheCoreOfThatHomeAlone) {
  testing::StartEal();
  SteeringVariant steering = *MakeSteering("flow-affinity", {.max_kthreads = 2, .cores = 8, .flows = 100});
  FakeApp app(2, 8);
  const auto changed = [&] { std::visit([&](auto& p) { p.OnActiveChange(app.view()); }, steering); };
  app.Run(0, 5);
  app.Run(1, 3);
  changed();
  std::vector<uint32_t> flows;
  for (uint32_t i = 0; i < 20; i++) flows.push_back(FlowHash(i));
  Hints hints;
  const auto to = std::visit([&](auto& p) { return Steer(p, app, flows, hints); }, steering);
  app.ConsumeAll();
  app.Park(0);
  app.Park(1);
  changed();
  for (size_t i = 0; i < flows.size(); i++) {
    hints.wanted.set(1);  // left over from before it slept
    Wish(steering, flows[i], hints);
    EXPECT_EQ(hints.wanted.count(), 1u);
    EXPECT_TRUE(hints.wanted.test(app.view().kthreads[to[i]].core));
  }
}

TEST(Wish, AnUnknownFlowAndAPolicyWithoutHomesLeaveTheHintsAlone) {
  testing::StartEal();
  for (const char* name : {"rss", "round-robin", "flow-table", "flow-affinity", "flow-affinity-hybrid"}) {
    const SteeringVariant steering = *MakeSteering(name, {.max_kthreads = 2, .cores = 8, .flows = 100, .unique = name});
    Hints hints;
    hints.wanted.set(4);
    Wish(steering, FlowHash(1), hints);
    EXPECT_EQ(hints.wanted.count(), 1u) << name;
    EXPECT_TRUE(hints.wanted.test(4)) << name;
  }
}

}  // namespace
}  // namespace sluice
