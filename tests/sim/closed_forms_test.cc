// The simulator against queueing theory: each figure lies in its own 99 % interval over ten fixed seeds, and within 1 %
// where that interval is narrower. The formulas are those of any text on queueing; each test names its own.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "tests/sim/plans.h"

namespace sluice::sim {
namespace {

Interval WaitUs(const System& system) {
  return OverSeeds([&](uint64_t seed) { return Requests(Result(PlanOf(system, seed))).WaitUs().mean; });
}
Interval MeanUs(const System& system) {
  return OverSeeds([&](uint64_t seed) { return Requests(Result(PlanOf(system, seed))).MeanUs(); });
}
Interval PercentileUs(const System& system, double percent) {
  return OverSeeds(
      [&](uint64_t seed) { return PercentileNs(Requests(Result(PlanOf(system, seed))).histogram(), percent) / 1e3; });
}

// Erlang's C: the share of the customers of M/M/k that wait.
double ErlangC(int k, double rho) {
  double term = 1, sum = 1;
  for (int i = 1; i < k; ++i) sum += term *= k * rho / i;
  const double last = term * rho / (1 - rho);  // (k rho)^k / k! / (1 - rho)
  return last / (sum + last);
}

TEST(ClosedForms, MM1SojournIsExponential) {
  for (const double rho : {0.5, 0.8}) {
    const System system{"c-fcfs", "exp:1us", 1, rho, 1'000'000};
    const double mean = 1 / (1 - rho);
    ExpectNear(MeanUs(system), mean);
    ExpectNear(PercentileUs(system, 99), 4.605 * mean);
    ExpectNear(PercentileUs(system, 99.9), 6.908 * mean, 0.1);
  }
}

TEST(ClosedForms, MD1WaitsHalfAsLong) {
  for (const double rho : {0.5, 0.8, 0.9}) {
    ExpectNear(WaitUs({"c-fcfs", "const:10us", 1, rho, 500'000}), rho * 10 / (2 * (1 - rho)));
  }
}

// Pollaczek and Khinchine: lambda E[S^2] / (2 (1 - rho)).
TEST(ClosedForms, MG1WaitGrowsWithTheSecondMoment) {
  ExpectNear(WaitUs({"c-fcfs", "bimodal:0.5:1us:100us", 1, 0.5}), 49.5);
  ExpectNear(WaitUs({"c-fcfs", "bimodal:0.5:1us:100us", 1, 0.8, 600'000}), 198.0);
  ExpectNear(WaitUs({"c-fcfs", "bimodal:0.995:0.5us:500us", 1, 0.5, 2'000'000}), 208.5);
  ExpectNear(WaitUs({"c-fcfs", "bimodal:0.995:0.5us:500us", 1, 0.8, 3'000'000}), 834.2, 0.1);
  // E[S^2] = (1 + CV^2) E[S]^2.
  ExpectNear(WaitUs({"c-fcfs", "lognormal:10us:2", 1, 0.5, 1'000'000}), 0.5 * 5 * 10 / (2 * 0.5));
}

// M/G/1-PS: E[T(x)] = x / (1 - rho), whatever the distribution. The best single test of preemption.
TEST(ClosedForms, ProcessorSharingSlowsEverybodyAlike) {
  for (const std::string service : {"exp:1us", "bimodal:0.5:1us:100us", "bimodal:0.995:0.5us:500us"}) {
    for (const double rho : {0.5, 0.8}) {
      // Few long requests decide how many short ones wait beside them: it takes many to tell.
      const System system{"ps:0", service, 1, rho, service.starts_with("bimodal:0.995") ? 3'000'000u : 300'000u};
      ExpectNear(OverSeeds([&](uint64_t seed) { return Requests(Result(PlanOf(system, seed))).MeanSlowdown(); }),
                 1 / (1 - rho));
    }
  }
}

TEST(ClosedForms, SlicesConvergeToProcessorSharing) {
  double before = 1e9;  // how far off
  for (const std::string slice : {"50us", "5us", "500ns", "50ns"}) {
    const System system{"ps:" + slice, "bimodal:0.9:1us:50us", 1, 0.8, 200'000};
    const Interval slowdown =
        OverSeeds([&](uint64_t seed) { return Requests(Result(PlanOf(system, seed))).MeanSlowdown(); });
    EXPECT_LT(std::abs(slowdown.mean - 5), before) << slice;
    before = std::abs(slowdown.mean - 5);
    if (slice == "50ns") ExpectNear(slowdown, 5, 0.1);
  }
}

// E[Wq] = C S / (k (1 - rho)), P(Wq > t) = C exp(-k (1 - rho) t / S).
TEST(ClosedForms, MMkWaitsByErlangC) {
  const struct {
    uint16_t k;
    double rho, c, wait;
  } table[] = {{4, 0.8, 0.5964, 0.7455},  {8, 0.8, 0.4576, 0.2860},  {16, 0.8, 0.3049, 0.0953},
               {16, 0.9, 0.5913, 0.3696}, {20, 0.8, 0.2561, 0.0640}, {32, 0.9, 0.4582, 0.1432}};
  for (const auto& row : table) {
    EXPECT_NEAR(ErlangC(row.k, row.rho), row.c, 5e-5);
    ExpectNear(WaitUs({"c-fcfs", "exp:1us", row.k, row.rho, 1'000'000}), row.wait);
  }
}

// Of a long constant service nothing is left of the sojourn but it and the wait, so a percentile of one shows the
// other.
TEST(ClosedForms, PartitionedIsSoManyQueuesOfOneCore) {
  for (const uint16_t k : {4, 16}) {
    const System system{"d-fcfs", "exp:1us", k, 0.8, 1'000'000};
    ExpectNear(MeanUs(system), 5.0);
    ExpectNear(PercentileUs(system, 99), 4.605 * 5.0);
  }
}

TEST(ClosedForms, HashingPerFlowIsNeverBetterThanPerPacket) {
  for (const uint32_t flows : {100u, 1000u}) {
    const Interval wait = OverSeeds([&](uint64_t seed) {
      RunPlan plan = PlanOf({"d-fcfs", "exp:1us", 8, 0.5}, seed);
      plan.apps[0].flows = flows;
      return Requests(Result(plan)).WaitUs().mean;
    });
    EXPECT_GT(wait.mean + wait.half_width, 1.0) << flows;
  }
}

// Mitzenmacher's limit for many queues: E[T]/S = sum over i >= 1 of rho^(2^i - 2).
TEST(ClosedForms, TwoChoicesAreAlmostOneQueue) {
  for (const auto& [rho, sojourn] : {std::pair{0.5, 1.266}, {0.8, 1.947}, {0.9, 2.614}}) {
    double sum = 0;
    for (int i = 1; i < 8; ++i) sum += std::pow(rho, std::pow(2, i) - 2);
    EXPECT_NEAR(sum, sojourn, 5e-4);
    ExpectNear(MeanUs({"jsq:2", "exp:1us", 1000, rho, 1'000'000}), sum);
  }
}

// One attempt to steal, when a core becomes idle; many cores. s_i is the share of cores with at least i requests.
// With success probability s2 at each of the lambda = rho departures that empty a queue the fluid equations give
// s2 = ((1 + rho) - sqrt((1 + rho)^2 - 4 rho^2)) / 2, and geometric tails of ratio r = rho / (1 + rho - s2) beyond.
TEST(ClosedForms, OneRandomVictim) {
  for (const auto& [rho, sojourn] : {std::pair{0.5, 1.618}, {0.8, 2.562}, {0.9, 3.541}}) {
    const double s2 = ((1 + rho) - std::sqrt((1 + rho) * (1 + rho) - 4 * rho * rho)) / 2;
    const double r = rho / (1 + rho - s2);
    EXPECT_NEAR((rho + s2 / (1 - r)) / rho, sojourn, 5e-4);
    // The limit of infinitely many: within 2 % from 500 cores on.
    EXPECT_NEAR(MeanUs({"steal:1", "exp:1us", 1000, rho, 1'000'000}).mean, sojourn, 0.02 * sojourn);
  }
}

// Cobham: Wq_i = W0 / ((1 - sigma_{i-1}) (1 - sigma_i)), W0 = sum of lambda_j E[S_j^2] / 2.
TEST(ClosedForms, PrioritiesThatDoNotInterrupt) {
  const double high = 0.3, low = 0.5;
  const auto wait = [&](size_t app) {
    return OverSeeds([&](uint64_t seed) {
      RunPlan plan = PlanOf({"c-fcfs", "exp:1us", 1, high, 600'000}, seed);
      AppPlan batch = plan.apps[0];
      batch.service = ServiceTime::Parse("const:4us").value();
      batch.load = low;
      batch.priority = Priority::kBestEffort;
      plan.apps.push_back(batch);
      return Result(plan).ledger.recorders()[app].WaitUs().mean;
    });
  };
  const double w0 = (high * 2 + low * 4) / 2;
  ExpectNear(wait(0), w0 / (1 - high));
  ExpectNear(wait(1), w0 / ((1 - high) * (1 - high - low)));
}

// M/G/inf: the number of busy cores is Poisson with mean lambda S, whatever the distribution.
TEST(ClosedForms, BusyCoresOfManyArePoisson) {
  const double mean = 20;
  for (const std::string service : {"const:10us", "bimodal:0.9:1us:91us"}) {
    for (const size_t n : {size_t{12}, size_t{20}, size_t{28}}) {
      double poisson = std::exp(-mean);
      for (size_t i = 1; i <= n; ++i) poisson *= mean / static_cast<double>(i);
      ExpectNear(OverSeeds([&](uint64_t seed) {
                   const Ledger ledger = Result(PlanOf({"c-fcfs", service, 1000, mean / 1000, 300'000}, seed)).ledger;
                   const Time busy = ledger.end().busy[n] - ledger.begin().busy[n];
                   return ToSeconds(busy) / ToSeconds(ledger.end().at - ledger.begin().at);
                 }),
                 poisson, 0.2);
    }
  }
}

// Little: requests in the system x time = the sum of their sojourns. Utilisation: cores x busy = the sum of the work.
TEST(Laws, LittleAndUtilisationHoldExactly) {
  for (const std::string scheduler : {"c-fcfs", "d-fcfs", "jsq:2", "steal", "steal:2", "ps:1us", "ps:0"}) {
    for (const double load : {0.3, 0.95, 1.3}) {
      const RunResult result = Result(PlanOf({scheduler, "lognormal:2us:3", 16, load, 50'000}, 7));
      const Ledger& ledger = result.ledger;
      EXPECT_TRUE(ledger.all().in_system == ledger.sojourn_sum()) << scheduler << load;
      EXPECT_EQ(ledger.in_system(), 0u);
      const auto busy = static_cast<double>(ledger.all().BusyCoreTime());
      const auto work = static_cast<double>(ledger.all().work);
      // Evenly shared cores are not handed over at a whole picosecond.
      EXPECT_NEAR(busy, work, scheduler == "ps:0" ? 1e-6 * work : 0) << scheduler;
    }
  }
}

// Equal work for everybody: the same seed offers the same requests. The order of the means is theory's.
TEST(Laws, PartitionedIsWorseThanStealingAndThatNoBetterThanOneQueue) {
  for (const std::string service : {"exp:1us", "const:1us", "lognormal:2us:2"}) {
    const auto wait = [&](const std::string& scheduler) { return WaitUs({scheduler, service, 16, 0.8, 100'000}).mean; };
    const double central = wait("c-fcfs");
    EXPECT_GE(wait("steal"), 0.995 * central);
    EXPECT_GT(wait("jsq:2"), central);
    EXPECT_GT(wait("d-fcfs"), wait("jsq:2"));
    EXPECT_GT(wait("d-fcfs"), wait("steal:1"));
  }
}

// The 99 % intervals that a run gives for itself hold the truth about as often as they say.
TEST(Laws, BatchMeansCoverTheTruth) {
  int covered = 0;
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    const Interval wait = Requests(Result(PlanOf({"c-fcfs", "exp:1us", 1, 0.7, 100'000}, seed))).WaitUs();
    covered += std::abs(wait.mean - 0.7 / 0.3) <= wait.half_width;
  }
  EXPECT_GE(covered, 94);
}

}  // namespace
}  // namespace sluice::sim
