// flow-affinity under random schedules: against a reference model, and no packet overtakes another of its flow.
//
// Kthreads come and go, take packets at random speeds and report late; bursts are random; the table may be small.
// A kthread parks only with an empty ring (the protocol of abi/grant.h: else it is granted again).
#include <gtest/gtest.h>

#include <deque>
#include <random>
#include <unordered_map>
#include <unordered_set>

#include "policies/steering/flow_affinity.h"
#include "policies/steering/round_robin.h"
#include "policies/steering/rss.h"
#include "tests/lib/eal.h"
#include "tests/unit/policies/fake_app.h"

namespace sluice {
namespace {

using testing::FakeApp;

struct Packet {
  uint32_t flow = 0;
  uint64_t number = 0;  // within its flow
};

// An app on a machine, with rings that hold real packets.
template <class Steering>
class Simulation {
 public:
  Simulation(uint32_t seed, uint32_t table_flows)
      : random_(seed),
        kthreads_(static_cast<uint16_t>(1 + random_() % 8)),
        cores_(static_cast<uint16_t>(kthreads_ + random_() % 5)),
        flows_(1 + random_() % 200),
        app_(kthreads_, cores_),
        rings_(kthreads_),
        steering_({.max_kthreads = kthreads_, .cores = cores_, .flows = table_flows}) {
    for (KthreadId k = 0; k < kthreads_; k++) {
      const auto start = random_() % 2 == 0 ? 0u - random_() % 50 : static_cast<uint32_t>(random_());
      app_.kthread(k).rx_sent = app_.kthread(k).rx_consumed = taken_start_.emplace_back(start);
    }
  }
  virtual ~Simulation() = default;

  void Run(int steps) {
    for (int step = 0; step < steps && !::testing::Test::HasFatalFailure(); step++) {
      switch (random_() % 8) {
        case 0:
          Come();
          break;
        case 1:
          Leave();
          break;
        case 2:
        case 3:
          Burst();
          break;
        case 4:
          steering_.Idle(static_cast<uint32_t>(random_() % 16), 0);
          break;
        default:
          Work();
      }
    }
  }

  uint64_t packets = 0, out_of_order = 0;

 protected:
  virtual void Check(std::span<const uint32_t> /*hash*/, std::span<const KthreadId> /*to*/, const Hints& /*hints*/) {}

  void Come() {
    const auto k = app_.active().empty() ? app_.view().landing : static_cast<KthreadId>(random_() % kthreads_);
    const auto core = static_cast<CoreId>(random_() % cores_);
    if (app_.IsActive(k) || app_.view().on_core[core] != kNoKthread) return;
    app_.Run(k, core);
    steering_.OnActiveChange(app_.view());
  }

  void Leave() {
    if (app_.active().empty()) return;
    const KthreadId k = app_.active()[random_() % app_.active().size()];
    if (!rings_[k].empty()) return;
    Report(k);
    app_.Park(k);
    // Only while nobody holds packets that a new landing kthread could overtake.
    if (app_.active().empty()) app_.set_landing(static_cast<KthreadId>(random_() % kthreads_));
    steering_.OnActiveChange(app_.view());
  }

  void Burst() {
    std::vector<uint32_t> hash(random_() % 80);
    const bool few = random_() % 2 == 0;
    for (uint32_t& h : hash) h = static_cast<uint32_t>(random_() % (few ? 1 + flows_ / 10 : flows_)) * 0x9e3779b1u;
    std::vector<KthreadId> to(hash.size(), kNoKthread);
    steering_.SteerBurst(app_.view(), hash, to, 0, hints_);
    for (size_t i = 0; i < hash.size(); i++) {
      ASSERT_LT(to[i], kthreads_);
      ASSERT_TRUE(app_.active().empty() ? to[i] == app_.view().landing : app_.IsActive(to[i]));
    }
    Check(hash, to, hints_);
    for (size_t i = 0; i < hash.size(); i++) rings_[to[i]].push_back({hash[i], sent_[hash[i]]++});
    app_.Send(to);
    packets += hash.size();
  }

  // One active kthread takes some packets, and perhaps says so.
  void Work() {
    if (app_.active().empty()) return;
    const KthreadId k = app_.active()[random_() % app_.active().size()];
    for (size_t n = random_() % 60; n > 0 && !rings_[k].empty(); n--) {
      const Packet packet = rings_[k].front();
      rings_[k].pop_front();
      uint64_t& next = processed_[packet.flow];
      if (packet.number != next) out_of_order++;
      next = std::max(next, packet.number + 1);
    }
    if (random_() % 2 == 0) Report(k);
  }

  void Report(KthreadId k) {
    app_.kthread(k).rx_consumed = app_.kthread(k).rx_sent - static_cast<uint32_t>(rings_[k].size());
  }

  std::mt19937 random_;
  uint16_t kthreads_, cores_;
  uint32_t flows_;
  FakeApp app_;
  std::vector<std::deque<Packet>> rings_;
  std::vector<uint32_t> taken_start_;
  Hints hints_;
  std::unordered_map<uint32_t, uint64_t> sent_, processed_;
  Steering steering_;
};

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
