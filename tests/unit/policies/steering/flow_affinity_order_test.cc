// flow-affinity under random schedules: against a reference model, and no packet overtakes another of its flow.
#include <gtest/gtest.h>

#include <unordered_set>

#include "policies/steering/flow_affinity.h"
#include "policies/steering/round_robin.h"
#include "policies/steering/rss.h"
#include "tests/lib/eal.h"
#include "tests/unit/policies/steering/simulation.h"

namespace sluice {
namespace {

using testing::Simulation;

// The rules written down once more, in the plainest way, and checked packet by packet.
class Reference final : public Simulation<FlowAffinity> {
 public:
  Reference(uint32_t seed, uint32_t table_flows) : Simulation(seed, table_flows), home_flows_(kthreads_) {}

  uint64_t came_home = 0, waited = 0, standins = 0;

 private:
  struct Served {
    KthreadId by = kNoKthread;
    uint32_t mark = 0;  // rx_sent of `by` once the burst with the home's last packet was sent
  };

  void Check(std::span<const uint32_t> hash, std::span<const KthreadId> to, const Hints& hints) override {
    if (!std::equal(last_active_.begin(), last_active_.end(), app_.active().begin(), app_.active().end())) {
      last_active_ = app_.active();
      away_with_packets_.clear();
    }
    for (size_t i = 0; i < hash.size(); i++) ASSERT_NO_FATAL_FAILURE(NewFlow(hash[i]));
    std::unordered_map<uint16_t, KthreadId> this_burst;
    for (size_t i = 0; i < hash.size(); i++) {
      const uint16_t home = home_of_[hash[i]];
      ASSERT_EQ(this_burst.emplace(home, to[i]).first->second, to[i]) << "one home, one kthread, in a burst";
    }
    for (const auto& [home, kthread] : this_burst) ASSERT_NO_FATAL_FAILURE(CheckHome(home, kthread, hints));
    for (CoreId core = 0; core < cores_; core++) {
      ASSERT_TRUE(!hints.wanted.test(core) || away_with_packets_.count(core)) << "core " << core;
    }
    for (const auto& [home, kthread] : this_burst) {
      const auto count = static_cast<uint32_t>(std::count(to.begin(), to.end(), kthread));
      served_[home] = {kthread, app_.kthread(kthread).rx_sent + count};
    }
  }

  // Rules 5 and "a flow keeps its home".
  void NewFlow(uint32_t flow) {
    const uint16_t home = steering_.HomeOf(flow);
    ASSERT_LT(home, kthreads_);
    const auto [entry, is_new] = home_of_.emplace(flow, home);
    ASSERT_EQ(entry->second, home);
    if (!is_new) return;
    ASSERT_EQ(home_flows_[home], *std::min_element(home_flows_.begin(), home_flows_.end()));
    home_flows_[home]++;
  }

  // Rules 2, 3, 4 and 7.
  void CheckHome(uint16_t home, KthreadId kthread, const Hints& hints) {
    const CoreId core = steering_.HomeCore(home);
    const KthreadId there = core == kNoCore ? kNoKthread : app_.view().on_core[core];
    const bool away = there == kNoKthread;
    if (away) {
      standins++;
      if (core != kNoCore) {
        away_with_packets_.insert(core);
        ASSERT_TRUE(hints.wanted.test(core));
      }
    }
    const Served before = served_.count(home) != 0 ? served_[home] : Served{};
    const bool could_be_overtaken = before.by != kNoKthread && app_.IsActive(before.by);
    const auto behind =
        could_be_overtaken ? static_cast<int32_t>(before.mark - app_.kthread(before.by).rx_consumed) : 0;
    if (could_be_overtaken && behind > 0) {
      ASSERT_EQ(kthread, before.by) << "left a kthread that still has packets of home " << home;
      waited += !away && kthread != there ? 1 : 0;
      return;
    }
    if (away) return;
    // It may wait for others' packets on the ring, sent before its move was known; never for an empty ring.
    const bool empty = !could_be_overtaken || app_.kthread(before.by).rx_consumed == app_.kthread(before.by).rx_sent;
    ASSERT_TRUE(!empty || kthread == there) << "home " << home << " is back and nothing holds it";
    came_home += kthread == there && before.by != there ? 1 : 0;
  }

  std::unordered_map<uint32_t, uint16_t> home_of_;
  std::vector<uint32_t> home_flows_;
  std::unordered_map<uint16_t, Served> served_;
  std::vector<KthreadId> last_active_;
  std::unordered_set<CoreId> away_with_packets_;
};

class FlowAffinityOrderTest : public ::testing::Test {
 protected:
  void SetUp() override { testing::StartEal(); }
};

TEST_F(FlowAffinityOrderTest, AgreesWithTheReferenceModel) {
  uint64_t came_home = 0, waited = 0, standins = 0;
  for (uint32_t seed = 1; seed <= 400; seed++) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Reference simulation(seed, 1000);
    simulation.Run(1000);
    ASSERT_FALSE(HasFatalFailure());
    EXPECT_EQ(simulation.out_of_order, 0u);
    came_home += simulation.came_home;
    waited += simulation.waited;
    standins += simulation.standins;
  }
  // Every rule was exercised.
  EXPECT_GT(came_home, 100u);
  EXPECT_GT(waited, 1000u);
  EXPECT_GT(standins, 1000u);
}

// The canary: the same simulation does see packets overtake where a policy lets them.
TEST_F(FlowAffinityOrderTest, TheSimulationSeesOthersReorder) {
  uint64_t rss = 0, round_robin = 0;
  for (uint32_t seed = 1; seed <= 50; seed++) {
    Simulation<Rss> a(seed, 0);
    a.Run(1000);
    rss += a.out_of_order;
    Simulation<RoundRobin> b(seed, 0);
    b.Run(1000);
    round_robin += b.out_of_order;
  }
  EXPECT_GT(rss, 100u);
  EXPECT_GT(round_robin, rss);
}

}  // namespace
}  // namespace sluice
