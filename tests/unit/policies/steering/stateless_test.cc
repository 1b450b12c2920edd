// rss, round-robin and null: their rules exactly.
#include <gtest/gtest.h>

#include <numeric>
#include <random>

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

template <class Policy>
class Stateless : public ::testing::Test {};
using StatelessPolicies = ::testing::Types<Rss, RoundRobin, NullSteering>;
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
