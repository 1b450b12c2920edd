// arrival_test.cc - the schedules of an open-loop client.
#include "apps/lib/arrival.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace sluice::apps {
namespace {

TEST(Arrival, UniformGapsDoNotDrift) {
  ArrivalSchedule schedule(ArrivalKind::kUniform, 3, 1);
  std::vector<uint64_t> times;
  times.reserve(3001);
  for (int i = 0; i < 3001; ++i) times.push_back(schedule.NextNs());
  EXPECT_EQ(times[0], 0u);
  EXPECT_EQ(times[3000], 1'000'000'000'000u);
}

TEST(Arrival, PoissonHasItsRateAndExponentialGaps) {
  ArrivalSchedule schedule(ArrivalKind::kPoisson, 1e6, 5);
  constexpr int kArrivals = 200'000;
  uint64_t last = 0;
  double squares = 0;
  for (int i = 0; i < kArrivals; ++i) {
    const uint64_t now = schedule.NextNs();
    ASSERT_GE(now, last);
    squares += std::pow(static_cast<double>(now - last), 2);
    last = now;
  }
  EXPECT_NEAR(static_cast<double>(last) / kArrivals, 1000, 10);
  EXPECT_NEAR(squares / kArrivals, 2e6, 1e5);  // E[gap^2] = 2 mean^2
}

TEST(Arrival, TheSeedDecides) {
  ArrivalSchedule one(ArrivalKind::kPoisson, 1e4, 1), same(ArrivalKind::kPoisson, 1e4, 1);
  ArrivalSchedule other(ArrivalKind::kPoisson, 1e4, 2);
  const uint64_t first = one.NextNs();
  EXPECT_EQ(first, same.NextNs());
  EXPECT_NE(first, other.NextNs());
}

}  // namespace
}  // namespace sluice::apps
