// flow-affinity, rule by rule, and the faults of Calisto's published listing as regressions.
#include "policies/steering/flow_affinity.h"

#include <gtest/gtest.h>
#include <nmmintrin.h>

#include <numeric>
#include <random>
#include <set>

#include "policies/steering/rss.h"
#include "tests/lib/eal.h"
#include "tests/unit/policies/fake_app.h"

namespace sluice {
namespace {

using testing::FakeApp;
using testing::Steer;

class FlowAffinityTest : public ::testing::Test {
 protected:
  void SetUp() override { testing::StartEal(); }

  static FlowAffinity Make(uint16_t kthreads, uint32_t flows = 1000) {
    return FlowAffinity({.max_kthreads = kthreads, .cores = kthreads, .flows = flows});
  }
  static void Run(FlowAffinity& policy, FakeApp& app, KthreadId k, CoreId core) {
    app.Run(k, core);
    policy.OnActiveChange(app.view());
  }
  static void Park(FlowAffinity& policy, FakeApp& app, KthreadId k) {
    app.Park(k);
    policy.OnActiveChange(app.view());
  }
  static std::vector<uint32_t> Flows(uint32_t count, uint32_t first = 0) {
    std::vector<uint32_t> flows(count);
    std::iota(flows.begin(), flows.end(), first);
    return flows;
  }
};

size_t Differences(const std::vector<KthreadId>& a, const std::vector<KthreadId>& b) {
  size_t count = 0;
  for (size_t i = 0; i < a.size(); i++) count += a[i] != b[i] ? 1 : 0;
  return count;
}

// The headline: 700 000 flows while the active kthreads go 4 -> 5 -> 4.
TEST_F(FlowAffinityTest, FourFiveFourMovesNoFlowWhoseHomeStays) {
  constexpr uint32_t kFlows = 700'000;
  FlowAffinity policy = Make(5, kFlows);
  Rss rss({.max_kthreads = 5, .cores = 5});
  FakeApp app(5, 5);
  std::vector<uint32_t> flows(kFlows);
  for (uint32_t i = 0; i < kFlows; i++) flows[i] = testing::FlowHash(i);

  for (KthreadId k = 0; k < 4; k++) Run(policy, app, k, k);
  (void)Steer(policy, app, flows);
  app.ConsumeAll();
  const auto four = Steer(policy, app, flows);
  const auto rss_four = Steer(rss, app, flows);
  app.ConsumeAll();
  Run(policy, app, 4, 4);
  const auto five = Steer(policy, app, flows);
  const auto rss_five = Steer(rss, app, flows);
  app.ConsumeAll();
  Park(policy, app, 4);
  const auto again = Steer(policy, app, flows);
  const auto rss_again = Steer(rss, app, flows);

  EXPECT_EQ(policy.counters().full, 0u);
  EXPECT_EQ(policy.flows(), kFlows);
  size_t home_stayed_but_moved = 0, came_home = 0;
  for (uint32_t i = 0; i < kFlows; i++) {
    const uint16_t home = policy.HomeOf(flows[i]);
    if (home == 4) {
      came_home += five[i] == 4 ? 1 : 0;
    } else {
      home_stayed_but_moved += four[i] != five[i] || five[i] != again[i] || four[i] != home ? 1 : 0;
    }
  }
  EXPECT_EQ(home_stayed_but_moved, 0u);
  EXPECT_EQ(came_home, kFlows / 5);
  EXPECT_EQ(Differences(four, five), kFlows / 5) << "only those whose home came";
  EXPECT_EQ(Differences(five, again), kFlows / 5) << "only those whose home left";
  EXPECT_NEAR(static_cast<double>(Differences(rss_four, rss_five)) / kFlows, 0.8, 0.01);
  EXPECT_NEAR(static_cast<double>(Differences(rss_five, rss_again)) / kFlows, 0.8, 0.01);
}

// ---- Calisto's listing

// "assigned_core = retl": the lookup returns the position of the key, not its core.
TEST_F(FlowAffinityTest, CalistoThePositionOfAFlowIsNotItsCore) {
  FlowAffinity policy = Make(4, 5000);
  FakeApp app(4, 4);
  for (KthreadId k = 0; k < 4; k++) Run(policy, app, k, k);
  const auto flows = Flows(5000);  // positions go far beyond the kthreads
  const auto first = Steer(policy, app, flows);
  EXPECT_EQ(Steer(policy, app, flows), first);
  for (size_t i = 0; i < flows.size(); i++) ASSERT_EQ(first[i], policy.HomeOf(flows[i]));
}

// The assigned core may belong to another process by now.
TEST_F(FlowAffinityTest, CalistoACoreThatAnotherAppHasIsNotUsed) {
  FlowAffinity policy = Make(3);
  FakeApp app(3, 3);
  for (KthreadId k = 0; k < 3; k++) Run(policy, app, k, k);
  const auto flows = Flows(300);
  (void)Steer(policy, app, flows);
  Park(policy, app, 1);
  for (const KthreadId k : Steer(policy, app, flows)) ASSERT_TRUE(k == 0 || k == 2);
}

// "if (affinity_core == NCPU) affinity_core = 1": core 0 gets flows in the first round only.
TEST_F(FlowAffinityTest, CalistoHomeZeroGetsItsShare) {
  FlowAffinity policy = Make(4, 4000);
  FakeApp app(4, 4);
  for (KthreadId k = 0; k < 4; k++) Run(policy, app, k, k);
  (void)Steer(policy, app, Flows(4000));
  for (uint16_t home = 0; home < 4; home++) EXPECT_EQ(policy.HomeFlows(home), 1000u);
}

// Nothing is ever removed, so the table fills up for good.
TEST_F(FlowAffinityTest, CalistoTheTableDoesNotFillUpForGood) {
  FlowAffinity policy = Make(2, 100);
  FakeApp app(2, 2);
  for (KthreadId k = 0; k < 2; k++) Run(policy, app, k, k);
  for (uint32_t generation = 0; generation < 50; generation++) {
    const auto flows = Flows(50, generation * 1000);
    for (int burst = 0; burst < 8; burst++) {
      (void)Steer(policy, app, flows);
      app.ConsumeAll();
      policy.Idle(64, 0);
    }
    for (const uint32_t flow : flows) ASSERT_NE(policy.HomeOf(flow), kAnyHome);
  }
  EXPECT_GE(policy.counters().evictions, 48u * 50);
}

// ---- homes

TEST_F(FlowAffinityTest, AHomeIsBoundToTheFirstCoreGrantedForIt) {
  FlowAffinity policy = Make(3);
  FakeApp app(3, 8);
  EXPECT_EQ(policy.HomeCore(0), kNoCore);
  Run(policy, app, 2, 5);
  Run(policy, app, 0, 7);
  EXPECT_EQ(policy.HomeCore(0), 5);
  EXPECT_EQ(policy.HomeCore(1), 7);
  EXPECT_EQ(policy.HomeCore(2), kNoCore);
}

TEST_F(FlowAffinityTest, FlowsFollowTheCoreNotTheKthread) {
  FlowAffinity policy = Make(2);
  FakeApp app(2, 2);
  Run(policy, app, 0, 0);
  Run(policy, app, 1, 1);
  const auto flows = Flows(10);
  const auto before = Steer(policy, app, flows);
  app.ConsumeAll();
  Park(policy, app, 0);
  Park(policy, app, 1);
  Run(policy, app, 1, 0);
  Run(policy, app, 0, 1);
  const auto after = Steer(policy, app, flows);
  for (size_t i = 0; i < flows.size(); i++) EXPECT_EQ(after[i], 1 - before[i]);
}

TEST_F(FlowAffinityTest, ACoreLostForGoodMovesAllItsFlowsWithOneWrite) {
  FlowAffinity policy = Make(2);
  FakeApp app(2, 4);
  Run(policy, app, 0, 0);
  Run(policy, app, 1, 1);
  const auto flows = Flows(100);
  const auto before = Steer(policy, app, flows);
  app.ConsumeAll();
  Park(policy, app, 1);
  Run(policy, app, 1, 3);  // another core: core 1 is lost
  EXPECT_EQ(policy.HomeCore(1), 3);
  EXPECT_EQ(Steer(policy, app, flows), before);
  EXPECT_EQ(policy.counters().rebinds, 1u);
}

TEST_F(FlowAffinityTest, TheHomeAwayLongestIsTheOneThatMoves) {
  FlowAffinity policy = Make(3);
  FakeApp app(3, 8);
  for (KthreadId k = 0; k < 3; k++) Run(policy, app, k, k);
  Park(policy, app, 1);
  Park(policy, app, 2);
  Run(policy, app, 2, 6);
  EXPECT_EQ(policy.HomeCore(1), 6);
  EXPECT_EQ(policy.HomeCore(2), 2);
  Run(policy, app, 1, 2);  // back on its core: nothing to move
  EXPECT_EQ(policy.HomeCore(2), 2);
  EXPECT_EQ(policy.counters().rebinds, 1u);
}

// A kthread that was granted the home's core but has not run yet is not in `active`; the core is not lost.
TEST_F(FlowAffinityTest, ACoreThatTheAppStillHasIsNotLost) {
  FlowAffinity policy = Make(2);
  FakeApp app(2, 4);
  Run(policy, app, 0, 0);
  Run(policy, app, 1, 1);
  app.Park(0);
  app.Park(1);
  app.Run(1, 3);
  const std::vector<KthreadId> on_core = {0, kNoKthread, kNoKthread, 1};
  AppView view = app.view();
  view.on_core = on_core;
  policy.OnActiveChange(view);
  EXPECT_EQ(policy.HomeCore(0), 0);
  EXPECT_EQ(policy.HomeCore(1), 3) << "core 1 is lost, core 0 is not";
}

// ---- stand-ins

TEST_F(FlowAffinityTest, AwayHomesGoToOneStandInEachAndAreWanted) {
  FlowAffinity policy = Make(4);
  FakeApp app(4, 8);
  for (KthreadId k = 0; k < 4; k++) Run(policy, app, k, static_cast<CoreId>(k + 2));
  const auto flows = Flows(400);
  Hints hints;
  (void)Steer(policy, app, flows, hints);
  EXPECT_TRUE(hints.wanted.none());
  app.ConsumeAll();
  Park(policy, app, 2);
  Park(policy, app, 3);
  std::vector<uint32_t> only_home_2;
  for (const uint32_t flow : flows) {
    if (policy.HomeOf(flow) == 2) only_home_2.push_back(flow);
  }
  const auto to = Steer(policy, app, only_home_2, hints);
  EXPECT_EQ(std::set<KthreadId>(to.begin(), to.end()).size(), 1u);
  EXPECT_EQ(policy.counters().standin, only_home_2.size());
  EXPECT_TRUE(hints.wanted.test(4));
  EXPECT_EQ(hints.wanted.count(), 1u) << "home 3 is away too, but had no packet";
  (void)Steer(policy, app, flows, hints);
  EXPECT_EQ(hints.wanted.count(), 2u);
  app.ConsumeAll();
  Run(policy, app, 2, 4);
  (void)Steer(policy, app, only_home_2, hints);
  EXPECT_TRUE(hints.wanted.none()) << "it is back, and the other had no packet since";
}

TEST_F(FlowAffinityTest, StandInsShareTheLoad) {
  FlowAffinity policy = Make(16, 16'000);
  FakeApp app(16, 16);
  for (KthreadId k = 0; k < 2; k++) Run(policy, app, k, k);
  const auto flows = Flows(16'000);
  const auto share = [&] {
    std::vector<size_t> count(16, 0);
    for (const KthreadId k : Steer(policy, app, flows)) count[k]++;
    app.ConsumeAll();
    return count;
  };
  (void)share();  // brings the flows in
  auto count = share();
  EXPECT_NEAR(static_cast<double>(count[0]), 8000, 1000);
  EXPECT_NEAR(static_cast<double>(count[1]), 8000, 1000);
  Run(policy, app, 2, 2);
  (void)share();
  count = share();
  for (KthreadId k = 0; k < 3; k++) EXPECT_NEAR(static_cast<double>(count[k]), 16'000.0 / 3, 1000) << k;
}

TEST_F(FlowAffinityTest, AStandInStaysWhileOthersComeAndGo) {
  FlowAffinity policy = Make(4);
  FakeApp app(4, 4);
  for (KthreadId k = 0; k < 4; k++) Run(policy, app, k, k);
  const auto flows = Flows(400);
  (void)Steer(policy, app, flows);
  app.ConsumeAll();
  Park(policy, app, 3);
  std::vector<uint32_t> away;
  for (const uint32_t flow : flows) {
    if (policy.HomeOf(flow) == 3) away.push_back(flow);
  }
  const auto to = Steer(policy, app, flows);
  const KthreadId standin = Steer(policy, app, away)[0];
  app.ConsumeAll();
  const auto other = static_cast<KthreadId>((standin + 1) % 3);
  for (int i = 0; i < 10; i++) {
    Park(policy, app, other);
    EXPECT_EQ(Steer(policy, app, away), std::vector<KthreadId>(100, standin));
    app.ConsumeAll();
    Run(policy, app, other, other);
    EXPECT_EQ(Steer(policy, app, away), std::vector<KthreadId>(100, standin));
    app.ConsumeAll();
  }
  EXPECT_EQ(Steer(policy, app, flows), to);
}

TEST_F(FlowAffinityTest, ReturnsHomeOnlyAfterTheStandInHasDrained) {
  FlowAffinity policy = Make(2);
  FakeApp app(2, 2);
  Run(policy, app, 0, 0);
  Run(policy, app, 1, 1);
  const auto flow = Flows(1, 77);
  const std::vector<KthreadId> home = Steer(policy, app, flow);
  const KthreadId owner = home[0];
  const KthreadId other = static_cast<KthreadId>(1 - owner);
  const CoreId core = app.kthread(owner).core;
  // Counters near their wrap.
  for (const KthreadId k : {owner, other}) app.kthread(k).rx_sent = app.kthread(k).rx_consumed = 0xfffffffe;
  Park(policy, app, owner);
  for (int i = 0; i < 4; i++) EXPECT_EQ(Steer(policy, app, flow)[0], other);
  Run(policy, app, owner, core);
  EXPECT_EQ(Steer(policy, app, flow)[0], other) << "four packets are in its ring";
  app.kthread(other).rx_consumed += 4;
  EXPECT_EQ(Steer(policy, app, flow)[0], other) << "the fifth is in its ring";
  app.kthread(other).rx_consumed += 2;
  EXPECT_EQ(app.kthread(other).rx_consumed, app.kthread(other).rx_sent);
  EXPECT_EQ(Steer(policy, app, flow)[0], owner);
  EXPECT_EQ(policy.counters().standin, 6u);
  app.kthread(other).rx_sent += 10;  // others' packets: no matter
  EXPECT_EQ(Steer(policy, app, flow)[0], owner);
}

// The stand-in's ring may never be empty; it is enough that it is past this home's last packet.
TEST_F(FlowAffinityTest, ReturnsHomeThoughTheStandInStaysBusyWithOthers) {
  FlowAffinity policy = Make(2);
  FakeApp app(2, 2);
  Run(policy, app, 0, 0);
  Run(policy, app, 1, 1);
  const auto flow = Flows(1, 77);
  const KthreadId owner = Steer(policy, app, flow)[0];
  const KthreadId other = static_cast<KthreadId>(1 - owner);
  const CoreId core = app.kthread(owner).core;
  app.ConsumeAll();
  Park(policy, app, owner);
  EXPECT_EQ(Steer(policy, app, flow)[0], other);
  Run(policy, app, owner, core);
  EXPECT_EQ(Steer(policy, app, flow)[0], other);  // now it is known to be moving
  (void)Steer(policy, app, {});
  app.kthread(other).rx_sent += 100;    // others' packets behind it
  app.kthread(other).rx_consumed += 2;  // exactly ours
  EXPECT_EQ(Steer(policy, app, flow)[0], owner);
}

TEST_F(FlowAffinityTest, IfTheStandInLeavesTheHomeIsUsedAtOnce) {
  FlowAffinity policy = Make(2);
  FakeApp app(2, 2);
  Run(policy, app, 0, 0);
  Run(policy, app, 1, 1);
  const auto flow = Flows(1, 77);
  const KthreadId owner = Steer(policy, app, flow)[0];
  const CoreId core = app.kthread(owner).core;
  Park(policy, app, owner);
  (void)Steer(policy, app, flow);
  Run(policy, app, owner, core);
  Park(policy, app, static_cast<KthreadId>(1 - owner));
  EXPECT_EQ(Steer(policy, app, flow)[0], owner);
}

TEST_F(FlowAffinityTest, NobodyActiveMeansLanding) {
  FlowAffinity policy = Make(4);
  FakeApp app(4, 4);
  app.set_landing(3);
  const auto flows = Flows(100);
  EXPECT_EQ(Steer(policy, app, flows), std::vector<KthreadId>(100, 3));
  EXPECT_EQ(Steer(policy, app, flows), std::vector<KthreadId>(100, 3));
  Run(policy, app, 3, 1);
  EXPECT_EQ(Steer(policy, app, flows), std::vector<KthreadId>(100, 3));
  app.ConsumeAll();
  Park(policy, app, 3);
  app.set_landing(0);
  policy.OnActiveChange(app.view());
  EXPECT_EQ(Steer(policy, app, flows), std::vector<KthreadId>(100, 0));
}

// ---- bursts and the full table

TEST_F(FlowAffinityTest, PacketsOfOneNewFlowInABurstAgree) {
  for (const uint32_t capacity : {1000u, 3u}) {
    FlowAffinity policy = Make(4, capacity);
    FakeApp app(4, 4);
    for (KthreadId k = 0; k < 4; k++) Run(policy, app, k, k);
    std::mt19937 random(capacity);
    for (int burst = 0; burst < 200; burst++) {
      std::vector<uint32_t> hash(1 + random() % 100);
      for (uint32_t& h : hash) h = static_cast<uint32_t>(burst * 1000 + static_cast<int>(random() % 8));
      const auto to = Steer(policy, app, hash);
      app.ConsumeAll();
      policy.Idle(8, 0);
      std::vector<int> seen(8, -1);
      for (size_t i = 0; i < hash.size(); i++) {
        int& kthread = seen[hash[i] % 1000];
        if (kthread < 0) kthread = to[i];
        ASSERT_EQ(kthread, to[i]) << "burst " << burst << ", capacity " << capacity;
      }
    }
  }
}

// The hand sees a part of a large table at a time: the first new flow of the burst finds nobody to forget, a later
// one might. Neither the later one nor a second packet of the first may profit.
TEST_F(FlowAffinityTest, AFlowThatFoundNoRoomFindsNoneInTheSameBurst) {
  FlowAffinity policy = Make(4, 2000);
  FakeApp app(4, 4);
  for (KthreadId k = 0; k < 4; k++) Run(policy, app, k, k);
  (void)Steer(policy, app, Flows(2000));
  // One round of the hand takes every reference bit; then the flows of the first 300 positions are seen again.
  uint32_t next = 1'000'000;
  while (policy.counters().evictions == 0) {
    app.ConsumeAll();
    (void)Steer(policy, app, Flows(300));
    app.ConsumeAll();
    std::vector<uint32_t> hash;
    for (int copy = 0; copy < 3; copy++) {
      for (uint32_t flow = next; flow < next + 5; flow++) hash.push_back(flow);
    }
    next += 5;
    const auto to = Steer(policy, app, hash);
    for (size_t i = 0; i < 5; i++) {
      ASSERT_EQ(to[i], to[i + 5]);
      ASSERT_EQ(to[i], to[i + 10]);
    }
    ASSERT_LT(next, 2'000'000u) << "nothing was ever forgotten";
  }
}

// Chosen by an attacker, or by chance: hashes that all belong into one bucket of rte_hash.
TEST_F(FlowAffinityTest, ABucketThatOverflowsIsLikeAFullTable) {
  FlowAffinity policy = Make(4, 56);
  FakeApp app(4, 4);
  for (KthreadId k = 0; k < 4; k++) Run(policy, app, k, k);
  std::vector<uint32_t> hash;
  for (uint32_t key = 0; hash.size() < 20; key++) {
    const uint32_t signature = _mm_crc32_u32(~0u, key);
    if ((signature & 7) == 0 && ((signature >> 16) & 7) == 0) hash.push_back(key);
  }
  const auto to = Steer(policy, app, hash);
  EXPECT_EQ(policy.flows(), 8u);
  EXPECT_EQ(policy.counters().full, 12u);
  for (size_t i = 8; i < 20; i++) EXPECT_EQ(to[i], hash[i] % 4) << "by rss";
  EXPECT_EQ(Steer(policy, app, hash), to);
}

TEST_F(FlowAffinityTest, AFullTableSteersByRssAndCounts) {
  FlowAffinity policy = Make(4, 64);
  FakeApp app(4, 4);
  for (KthreadId k = 0; k < 4; k++) Run(policy, app, k, k);
  const auto old = Flows(64);
  const auto homes = Steer(policy, app, old);
  const std::vector<uint32_t> more = {1001, 1002, 1003, 1004};
  EXPECT_EQ(Steer(policy, app, more), (std::vector<KthreadId>{1, 2, 3, 0}));
  EXPECT_EQ(policy.counters().full, 4u);
  EXPECT_EQ(policy.flows(), 64u);
  EXPECT_EQ(Steer(policy, app, old), homes) << "those in the table keep their homes";
  EXPECT_EQ(policy.counters().evictions, 0u) << "their packets are still in the rings";
}

TEST_F(FlowAffinityTest, ForgetsWhatIsIdleKeepsWhatIsNot) {
  FlowAffinity policy = Make(4, 64);
  FakeApp app(4, 4);
  for (KthreadId k = 0; k < 4; k++) Run(policy, app, k, k);
  const auto all = Flows(64);
  const auto homes = Steer(policy, app, all);
  const auto busy = Flows(32);
  uint32_t next = 5000;
  for (int burst = 0; burst < 40; burst++) {
    app.ConsumeAll();
    (void)Steer(policy, app, busy);
    (void)Steer(policy, app, Flows(1, next++));
    app.ConsumeAll();
    policy.Idle(16, 0);
  }
  for (const uint32_t flow : busy) EXPECT_EQ(policy.HomeOf(flow), homes[flow]) << "never idle, never forgotten";
  EXPECT_GE(policy.counters().evictions, 8u);
  EXPECT_LE(policy.flows(), 64u);
}

// A flow whose packets are still in a ring must not be forgotten: its next packet could get another home.
TEST_F(FlowAffinityTest, ForgetsNothingWhileAnOldPacketIsQueued) {
  FlowAffinity policy = Make(2, 64);
  FakeApp app(2, 2);
  for (KthreadId k = 0; k < 2; k++) Run(policy, app, k, k);
  (void)Steer(policy, app, Flows(64));
  for (int burst = 0; burst < 100; burst++) {
    (void)Steer(policy, app, Flows(1, 5000));
    policy.Idle(1000, 0);
    app.kthread(0).rx_consumed = app.kthread(0).rx_sent;  // kthread 1 does not move
  }
  EXPECT_EQ(policy.counters().evictions, 0u);
  app.ConsumeAll();
  for (int burst = 0; burst < 4; burst++) {
    (void)Steer(policy, app, Flows(1, 5000));
    app.ConsumeAll();
    policy.Idle(1000, 0);
  }
  EXPECT_GT(policy.counters().evictions, 0u);
}

TEST_F(FlowAffinityTest, CountersAddUp) {
  FlowAffinity policy = Make(4, 100);
  FakeApp app(4, 4);
  for (KthreadId k = 0; k < 3; k++) Run(policy, app, k, k);
  std::mt19937 random(3);
  uint64_t packets = 0;
  for (int burst = 0; burst < 300; burst++) {
    std::vector<uint32_t> hash(random() % 70);
    for (uint32_t& h : hash) h = static_cast<uint32_t>(random() % 150);
    packets += hash.size();
    (void)Steer(policy, app, hash);
    app.ConsumeAll();
    policy.Idle(4, 0);
  }
  const auto& c = policy.counters();
  EXPECT_EQ(c.hits + c.misses, packets);
  EXPECT_EQ(c.inserts - c.evictions, policy.flows());
  EXPECT_LE(c.inserts + c.full, c.misses);
  EXPECT_GT(c.evictions, 0u);
  EXPECT_GT(c.full, 0u);
  EXPECT_GT(c.standin, 0u);
  uint32_t sum = 0;
  for (uint16_t home = 0; home < policy.homes(); home++) sum += policy.HomeFlows(home);
  EXPECT_EQ(sum, policy.flows());
}

// ---- from outside

TEST_F(FlowAffinityTest, InstalledFlowsHaveTheirHomeBeforeTheFirstPacket) {
  FlowAffinity policy = Make(4, 64);
  const FiveTuple tuple{
      .source = 0x0a000001, .destination = 0x0a000002, .source_port = 7, .destination_port = 8, .protocol = 17};
  EXPECT_EQ(policy.Install(500, tuple, 3), 3);
  EXPECT_EQ(policy.Install(501, tuple), 0) << "the home with the fewest flows";
  FakeApp app(4, 4);
  for (KthreadId k = 0; k < 4; k++) Run(policy, app, k, k);
  EXPECT_EQ(Steer(policy, app, Flows(2, 500)), (std::vector<KthreadId>{3, 0}));
  EXPECT_EQ(policy.counters().misses, 0u);
  EXPECT_EQ(policy.Install(500, tuple), 3) << "installed again: the home stays";
  EXPECT_EQ(policy.Install(500, tuple, 1), 1) << "unless it is told to move";
  EXPECT_EQ(policy.HomeFlows(1), 1u);
  EXPECT_EQ(policy.HomeFlows(3), 0u);
}

TEST_F(FlowAffinityTest, InstallingALearnedFlowKeepsItsHome) {
  FlowAffinity policy = Make(4, 64);
  FakeApp app(4, 4);
  for (KthreadId k = 0; k < 4; k++) Run(policy, app, k, k);
  const auto to = Steer(policy, app, Flows(4));
  EXPECT_EQ(policy.Install(2, {.source = 1}), to[2]);
  EXPECT_EQ(policy.flows(), 4u);
}

TEST_F(FlowAffinityTest, InstallSaysWhyNot) {
  FlowAffinity policy = Make(2, 8);
  EXPECT_EQ(policy.Install(1, {.source = 1}, 2), tl::unexpected(FlowError::kNoSuchHome));
  for (uint32_t flow = 0; flow < 8; flow++) EXPECT_TRUE(policy.Install(flow, {.source = flow}).has_value());
  EXPECT_EQ(policy.Install(8, {.source = 8}), tl::unexpected(FlowError::kFull));
  EXPECT_EQ(policy.Install(3, {.source = 99}), tl::unexpected(FlowError::kHashTaken));
  EXPECT_FALSE(policy.Remove(3, {.source = 99}));
  EXPECT_TRUE(policy.Remove(3, {.source = 3}));
  EXPECT_FALSE(policy.Remove(3, {.source = 3}));
  EXPECT_EQ(policy.HomeOf(3), kAnyHome);
  EXPECT_TRUE(policy.Install(8, {.source = 8}).has_value());
}

TEST_F(FlowAffinityTest, InstalledFlowsAreNeverForgotten) {
  FlowAffinity policy = Make(2, 64);
  FakeApp app(2, 2);
  for (KthreadId k = 0; k < 2; k++) Run(policy, app, k, k);
  for (uint32_t flow = 0; flow < 20; flow++) ASSERT_TRUE(policy.Install(flow, {.source = flow}).has_value());
  for (uint32_t burst = 0; burst < 200; burst++) {
    (void)Steer(policy, app, Flows(40, 1000 + burst * 100));
    app.ConsumeAll();
    policy.Idle(100, 0);
  }
  EXPECT_GT(policy.counters().evictions, 100u);
  for (uint32_t flow = 0; flow < 20; flow++) EXPECT_NE(policy.HomeOf(flow), kAnyHome);
}

TEST_F(FlowAffinityTest, ListsInstalledFlowsInPieces) {
  FlowAffinity policy = Make(3, 64);
  FakeApp app(3, 3);
  for (KthreadId k = 0; k < 3; k++) Run(policy, app, k, k);
  (void)Steer(policy, app, Flows(10, 100));  // learned: not listed
  for (uint32_t flow = 0; flow < 25; flow++) {
    ASSERT_TRUE(policy.Install(flow, {.source = flow * 3}, static_cast<uint16_t>(flow % 3)).has_value());
  }
  std::set<uint32_t> seen;
  uint32_t cursor = 0xffffffff;
  std::array<InstalledFlow, 10> some;
  for (size_t count = some.size(); count == some.size();) {
    count = policy.List(&cursor, some);
    for (size_t i = 0; i < count; i++) {
      EXPECT_TRUE(seen.insert(some[i].hash).second);
      EXPECT_EQ(some[i].tuple.source, some[i].hash * 3);
      EXPECT_EQ(some[i].home, some[i].hash % 3);
    }
  }
  EXPECT_EQ(seen.size(), 25u);
  EXPECT_EQ(*seen.rbegin(), 24u);
}

TEST_F(FlowAffinityTest, MovesWithItsTable) {
  FlowAffinity first = Make(2, 64);
  ASSERT_TRUE(first.Install(1, {}, 1).has_value());
  FlowAffinity second = std::move(first);
  EXPECT_EQ(second.HomeOf(1), 1);
  first = Make(2, 64);
  EXPECT_EQ(first.HomeOf(1), kAnyHome);
}

TEST_F(FlowAffinityTest, MoreThan256Homes) {
  FlowAffinity policy = Make(600, 6000);
  FakeApp app(600, 600);
  for (KthreadId k = 0; k < 600; k++) app.Run(k, k);
  policy.OnActiveChange(app.view());
  std::vector<size_t> count(600, 0);
  for (const KthreadId k : Steer(policy, app, Flows(6000))) count[k]++;
  EXPECT_EQ(count, std::vector<size_t>(600, 10));
}

}  // namespace
}  // namespace sluice
