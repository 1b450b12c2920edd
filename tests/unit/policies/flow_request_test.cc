// What the control plane may ask of a steering policy: add, remove, list, explain, through whatever the app has.
#include "policies/flow_request.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "tests/lib/eal.h"
#include "tests/unit/policies/fake_app.h"

namespace sluice {
namespace {

using testing::FakeApp;
using testing::FlowHash;

class FlowRequestTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    testing::StartEal();
    auto made = MakeSteering(GetParam(), {.max_kthreads = 4, .cores = 6, .flows = 600});
    ASSERT_TRUE(made.has_value()) << made.error();
    steering_ = std::move(*made);
  }

  FlowRequest Ask(FlowRequest::Kind kind, uint32_t hash = 0, FiveTuple tuple = {}, uint16_t home = kAnyHome) {
    FlowRequest request{.kind = kind, .hash = hash, .tuple = tuple, .home = home};
    Answer(request, steering_, app_.view());
    return request;
  }

  static FiveTuple Tuple(uint32_t flow) { return {.source = flow, .protocol = 17}; }

  SteeringVariant steering_;
  FakeApp app_{4, 6};
};

class FlowKeeperTest : public FlowRequestTest {};
INSTANTIATE_TEST_SUITE_P(Keepers, FlowKeeperTest, ::testing::Values("flow-affinity", "flow-affinity-hybrid"));
class StatelessTest : public FlowRequestTest {};
INSTANTIATE_TEST_SUITE_P(Others, StatelessTest, ::testing::Values("rss", "round-robin", "flow-table"));

TEST_P(StatelessTest, KeepsNoFlowsAndSaysSo) {
  EXPECT_FALSE(KeepsFlows(GetParam()));
  for (const auto kind : {FlowRequest::Kind::kAdd, FlowRequest::Kind::kRemove, FlowRequest::Kind::kList}) {
    const FlowRequest request = Ask(kind, 1);
    EXPECT_EQ(request.error, FlowError::kNoTable);
    EXPECT_NE(DescribeError(request).find("flow-affinity"), std::string::npos);
  }
  EXPECT_EQ(Ask(FlowRequest::Kind::kExplain).answer.reason, SteeringReason::kLanding);
}

TEST_P(FlowKeeperTest, MistakesAreTold) {
  EXPECT_TRUE(KeepsFlows(GetParam()));
  EXPECT_EQ(Ask(FlowRequest::Kind::kRemove, 1, Tuple(1)).error, FlowError::kNotThere);
  const FlowRequest nowhere = Ask(FlowRequest::Kind::kAdd, 1, Tuple(1), 4);
  EXPECT_EQ(nowhere.error, FlowError::kNoSuchHome);
  EXPECT_NE(DescribeError(nowhere).find("no home 4"), std::string::npos);
  EXPECT_EQ(Ask(FlowRequest::Kind::kAdd, 1, Tuple(1), 3).home, 3);
  EXPECT_EQ(Ask(FlowRequest::Kind::kAdd, 1, Tuple(2)).error, FlowError::kHashTaken);
  EXPECT_EQ(Ask(FlowRequest::Kind::kAdd, 1, Tuple(1)).home, 3) << "again: as it was";
  EXPECT_TRUE(DescribeError(Ask(FlowRequest::Kind::kList)).empty());
}

// Random adds and removes, also between the pieces of a listing, against a plain map.
TEST_P(FlowKeeperTest, ListsWhatIsThere) {
  std::mt19937 random(3);
  std::map<uint32_t, uint16_t> model;  // flow to home
  for (int round = 0; round < 200; round++) {
    std::map<uint32_t, uint16_t> stayed = model;
    std::set<uint32_t> listed;
    FlowRequest list{.kind = FlowRequest::Kind::kList};
    for (bool more = true; more;) {
      Answer(list, steering_, app_.view());
      ASSERT_EQ(list.error, FlowError::kNone);
      more = list.count == kFlowsPerList;
      for (uint32_t i = 0; i < list.count; i++) {
        const InstalledFlow& flow = list.flows[i];
        ASSERT_EQ(flow.hash, FlowHash(flow.tuple.source));
        ASSERT_TRUE(model.count(flow.tuple.source));
        ASSERT_EQ(flow.home, model[flow.tuple.source]);
        listed.insert(flow.tuple.source);
      }
      for (int change = 0; change < 20; change++) {
        const auto flow = static_cast<uint32_t>(random() % 500);
        if (model.count(flow) != 0) {
          ASSERT_EQ(Ask(FlowRequest::Kind::kRemove, FlowHash(flow), Tuple(flow)).error, FlowError::kNone);
          model.erase(flow);
          stayed.erase(flow);
        } else {
          const FlowRequest added = Ask(FlowRequest::Kind::kAdd, FlowHash(flow), Tuple(flow));
          ASSERT_EQ(added.error, FlowError::kNone);
          model[flow] = added.home;
        }
      }
    }
    for (const auto& [flow, home] : stayed) ASSERT_TRUE(listed.count(flow)) << "a flow that stayed was not listed";
  }
}

// Told where the next packet goes, and there it goes: while kthreads come and go and take their packets or not.
TEST_P(FlowKeeperTest, ExplainsWhereAPacketGoes) {
  std::mt19937 random(7);
  std::map<SteeringReason, int> reasons;
  for (int step = 0; step < 20'000; step++) {
    const auto k = static_cast<KthreadId>(random() % 4);
    const auto core = static_cast<CoreId>(random() % 6);
    const auto die = random() % 16;
    bool changed = false;
    if (die == 0 && app_.IsActive(k)) {
      app_.Park(k);
      changed = true;
    } else if (die == 1 && !app_.IsActive(k) && app_.view().on_core[core] == kNoKthread) {
      app_.Run(k, core);
      changed = true;
    } else if (die == 2) {
      app_.ConsumeAll();
    } else if (die == 3) {
      std::visit([&](auto& p) { p.Idle(4, 0); }, steering_);
    }
    if (changed) std::visit([&](auto& p) { p.OnActiveChange(app_.view()); }, steering_);
    const uint32_t hash = FlowHash(static_cast<uint32_t>(random() % 1000));
    const SteeringAnswer answer = Ask(FlowRequest::Kind::kExplain, hash).answer;
    reasons[answer.reason]++;
    EXPECT_FALSE(Describe(answer.reason).empty());
    const std::vector<uint32_t> burst(1, hash);
    std::vector<KthreadId> to(1);
    Hints hints;
    std::visit([&](auto& p) { p.SteerBurst(app_.view(), burst, to, 0, hints); }, steering_);
    // A table that is full makes room in the burst that finds it so.
    if (answer.reason != SteeringReason::kNoRoom) {
      ASSERT_EQ(answer.kthread, to[0]) << "step " << step << ": " << Describe(answer.reason);
    }
    app_.Send(to);
  }
  const bool hybrid = std::string(GetParam()) == "flow-affinity-hybrid";
  for (const auto reason : {SteeringReason::kLanding, SteeringReason::kHome, SteeringReason::kStandIn,
                            SteeringReason::kDraining, hybrid ? SteeringReason::kWaits : SteeringReason::kNewFlow}) {
    EXPECT_GT(reasons[reason], 20) << Describe(reason);
  }
}

}  // namespace
}  // namespace sluice
