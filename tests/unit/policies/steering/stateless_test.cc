// rss, round-robin, flow-table and null: their rules exactly.
#include <gtest/gtest.h>

#include <numeric>
#include <random>

#include "policies/steering/flow_table.h"
#include "policies/steering/null.h"
#include "policies/steering/round_robin.h"
#include "policies/steering/rss.h"
#include "tests/unit/policies/fake_app.h"

namespace sluice {
namespace {

using testing::FakeApp;
using testing::Steer;

const SteeringOptions kOptions{.max_kthreads = 16, .cores = 16};

std::vector<uint32_t> RandomHashes(std::mt19937& random, size_t count) {
  std::vector<uint32_t> hash(count);
  for (uint32_t& h : hash) h = static_cast<uint32_t>(random());
  return hash;
}

TEST(Rss, IsActiveOfHashModuloActive) {
  for (uint32_t seed = 1; seed <= 50; seed++) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    Rss rss(kOptions);
    FakeApp app(16, 16);
    std::vector<KthreadId> order(16);
    std::iota(order.begin(), order.end(), KthreadId{0});
    std::shuffle(order.begin(), order.end(), random);
    const size_t n = 1 + random() % 16;
    for (size_t i = 0; i < n; i++) app.Run(order[i], static_cast<CoreId>(i));
    const auto hash = RandomHashes(random, random() % 200);
    const auto out = Steer(rss, app, hash);
    for (size_t i = 0; i < hash.size(); i++) EXPECT_EQ(out[i], order[hash[i] % n]);
  }
}

// The figures of Calisto's section 3: flows 4..7 on 4 threads, then on 5.
TEST(Rss, MovesFlowsAsInThePaper) {
  Rss rss(kOptions);
  FakeApp app(16, 16);
  for (KthreadId k = 0; k < 4; k++) app.Run(k, k);
  const std::vector<uint32_t> flows = {4, 5, 6, 7};
  EXPECT_EQ(Steer(rss, app, flows), (std::vector<KthreadId>{0, 1, 2, 3}));
  app.Run(4, 4);
  EXPECT_EQ(Steer(rss, app, flows), (std::vector<KthreadId>{4, 0, 1, 2}));
}

TEST(RoundRobin, DealsPacketsInTurnAcrossBursts) {
  RoundRobin policy(kOptions);
  FakeApp app(16, 16);
  for (const KthreadId k : {7, 2, 9}) app.Run(k, k);
  const std::vector<uint32_t> five(5, 42), four(4, 42);
  EXPECT_EQ(Steer(policy, app, five), (std::vector<KthreadId>{7, 2, 9, 7, 2}));
  EXPECT_EQ(Steer(policy, app, four), (std::vector<KthreadId>{9, 7, 2, 9}));
}

TEST(RoundRobin, IsEvenWhateverTheBurstsAre) {
  for (uint32_t seed = 1; seed <= 50; seed++) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    RoundRobin policy(kOptions);
    FakeApp app(16, 16);
    const size_t n = 1 + random() % 16;
    for (size_t k = 0; k < n; k++) app.Run(static_cast<KthreadId>(k), static_cast<CoreId>(k));
    std::vector<size_t> count(16, 0);
    for (int burst = 0; burst < 20; burst++) {
      for (const KthreadId k : Steer(policy, app, RandomHashes(random, random() % 70))) count[k]++;
    }
    const auto [least, most] = std::minmax_element(count.begin(), count.begin() + static_cast<ptrdiff_t>(n));
    EXPECT_LE(*most - *least, 1u);
  }
}

TEST(RoundRobin, SurvivesAShrinkingActiveSet) {
  RoundRobin policy(kOptions);
  FakeApp app(16, 16);
  for (KthreadId k = 0; k < 3; k++) app.Run(k, k);
  const std::vector<uint32_t> two = {1, 2};
  (void)Steer(policy, app, two);  // the turn is at index 2
  app.Park(1);
  app.Park(2);
  EXPECT_EQ(Steer(policy, app, two), (std::vector<KthreadId>{0, 0}));
}

// Runs or parks a random kthread, and tells the policy.
void ChangeSomebody(std::mt19937& random, FakeApp& app, FlowTable& policy) {
  const auto k = static_cast<KthreadId>(random() % 16);
  if (app.IsActive(k)) {
    app.Park(k);
  } else {
    app.Run(k, k);
  }
  policy.OnActiveChange(app.view());
}

std::vector<KthreadId> Slots(FlowTable& policy, FakeApp& app) {
  std::vector<uint32_t> hash(16);
  std::iota(hash.begin(), hash.end(), 1600u);  // hash % 16 = 0 .. 15
  return Steer(policy, app, hash);
}

// Caladan's table, said in the plainest way.
TEST(FlowTable, OwnSlotsStayAndTheOthersGoRound) {
  for (uint32_t seed = 1; seed <= 50; seed++) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    FlowTable policy(kOptions);
    FakeApp app(16, 16);
    for (int change = 0; change < 50; change++) {
      ChangeSomebody(random, app, policy);
      if (app.active().empty()) continue;
      const auto slots = Slots(policy, app);
      size_t turn = 0;
      for (KthreadId k = 0; k < 16; k++) {
        ASSERT_EQ(slots[k], app.IsActive(k) ? k : app.active()[turn++ % app.active().size()]) << "slot " << k;
      }
    }
  }
}

// What it is for: whoever comes or goes, no flow moves away from its own kthread; rss moves most of them.
TEST(FlowTable, AFlowWhoseKthreadStaysDoesNotMove) {
  std::mt19937 random(1);
  FlowTable policy(kOptions);
  FakeApp app(16, 16);
  for (KthreadId k = 0; k < 4; k++) app.Run(k, k);
  policy.OnActiveChange(app.view());
  const auto hash = RandomHashes(random, 16'000);
  const auto before = Steer(policy, app, hash);
  app.Run(4, 4);
  policy.OnActiveChange(app.view());
  const auto after = Steer(policy, app, hash);
  size_t own = 0;
  for (size_t i = 0; i < hash.size(); i++) {
    if (hash[i] % 16 >= 4) continue;
    own++;
    EXPECT_EQ(after[i], before[i]);
  }
  EXPECT_GT(own, 3500u);
}

TEST(FlowTable, MadeWhileKthreadsRan) {
  FlowTable policy(kOptions);
  FakeApp app(16, 16);
  app.Run(3, 0);
  EXPECT_EQ(Slots(policy, app), std::vector<KthreadId>(16, 3));
}

// An operator is told where the next packet goes, and that is where it goes.
template <class Policy>
void ExpectExplainsItself() {
  std::mt19937 random(5);
  Policy policy(kOptions);
  FakeApp app(16, 16);
  for (int step = 0; step < 300; step++) {
    const auto k = static_cast<KthreadId>(random() % 16);
    if (app.IsActive(k)) {
      app.Park(k);
    } else {
      app.Run(k, k);
    }
    policy.OnActiveChange(app.view());
    const auto hash = RandomHashes(random, 1);
    const SteeringAnswer answer = policy.Explain(app.view(), hash[0]);
    EXPECT_EQ(answer.kthread, Steer(policy, app, hash)[0]);
    EXPECT_EQ(answer.reason == SteeringReason::kLanding, app.active().empty());
    EXPECT_NE(answer.reason, SteeringReason::kUnknown);
  }
}

TEST(Explain, StatelessPoliciesSayWhereAPacketGoes) {
  ExpectExplainsItself<Rss>();
  ExpectExplainsItself<RoundRobin>();
  ExpectExplainsItself<FlowTable>();
}

template <class Policy>
class Stateless : public ::testing::Test {};
using StatelessPolicies = ::testing::Types<Rss, RoundRobin, FlowTable, NullSteering>;
TYPED_TEST_SUITE(Stateless, StatelessPolicies);

TYPED_TEST(Stateless, SendsToLandingWhileNobodyIsActive) {
  TypeParam policy(kOptions);
  FakeApp app(16, 16);
  app.set_landing(11);
  const std::vector<uint32_t> hash = {0, 1, 2, 0xffffffff};
  EXPECT_EQ(Steer(policy, app, hash), std::vector<KthreadId>(4, 11));
  EXPECT_TRUE(Steer(policy, app, {}).empty());
}

}  // namespace
}  // namespace sluice
