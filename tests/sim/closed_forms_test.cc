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
// P(X >= ns) of what was recorded, interpolated within its bucket.
double ShareFrom(const abi::Histogram& histogram, double ns) {
  double from = 0;
  for (size_t bucket = 0; bucket < abi::Histogram::kBuckets; ++bucket) {
    const auto first = static_cast<double>(abi::Histogram::BucketFirst(bucket));
    const double end = static_cast<double>(abi::Histogram::BucketLast(bucket)) + 1;
    const auto here = static_cast<double>(histogram.BucketCount(bucket));
    from += here * std::clamp((end - ns) / (end - first), 0.0, 1.0);
  }
  return from / static_cast<double>(histogram.Count());
}

// The sojourns of one run: mean, p99 and p99.9, us.
std::vector<Interval> SojournsUs(const System& system) {
  return AllOverSeeds([&](uint64_t seed) {
    const RunResult result = Result(PlanOf(system, seed));
    const abi::Histogram& sojourns = Requests(result).histogram();
    return std::vector{Requests(result).MeanUs(), PercentileNs(sojourns, 99) / 1e3, PercentileNs(sojourns, 99.9) / 1e3};
  });
}

TEST(ClosedForms, MM1SojournIsExponential) {
  for (const double rho : {0.5, 0.8}) {
    const double mean = 1 / (1 - rho);
    const std::vector<Interval> sojourns = SojournsUs({"c-fcfs", "exp:1us", 1, rho, 1'000'000});
    ExpectNear(sojourns[0], mean);
    ExpectNear(sojourns[1], 4.605 * mean);
    ExpectNear(sojourns[2], 6.908 * mean, 0.1);
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

// M/G/1-PS: E[T(x)] = x / (1 - rho), whatever the distribution and for every x: the short of a bimodal and the long,
// and the octaves of an exponential. The best single test of preemption.
TEST(ClosedForms, ProcessorSharingSlowsEverySizeAlike) {
  const struct {
    std::string service;
    std::vector<Time> sizes;
    uint32_t requests;
  } table[] = {{"exp:1us", {200 * kNs, kUs, 3 * kUs}, 300'000},
               {"bimodal:0.5:1us:100us", {kUs, 100 * kUs}, 300'000},
               // Few long requests decide how many short ones wait beside them: it takes many to tell.
               {"bimodal:0.995:0.5us:500us", {500 * kNs, 500 * kUs}, 3'000'000}};
  for (const auto& row : table) {
    for (const double rho : {0.5, 0.8}) {
      const std::vector<Interval> slowdowns = AllOverSeeds([&](uint64_t seed) {
        const RunResult result = Result(PlanOf({"ps:0", row.service, 1, rho, row.requests}, seed));
        std::vector<double> figures{Requests(result).MeanSlowdown()};
        for (const Time size : row.sizes) figures.push_back(Requests(result).MeanSlowdown(size));
        return figures;
      });
      for (size_t i = 0; i < slowdowns.size(); ++i) {
        SCOPED_TRACE(row.service + (i == 0 ? ", all" : ", " + std::to_string(ToUs(row.sizes[i - 1])) + " us"));
        ExpectNear(slowdowns[i], 1 / (1 - rho));
      }
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

// E[Wq] = C S / (k (1 - rho)), P(Wq > t) = C exp(-k (1 - rho) t / S), where C is Erlang's. The figures are those of his
// tables, not of a formula written here: C, then E[Wq], p99 and p99.9 in S.
TEST(ClosedForms, MMkWaitsByErlangC) {
  const struct {
    uint16_t k;
    double rho, c, mean, p99, p999;
  } table[] = {{4, 0.8, 0.5964, 0.7455, 5.110, 7.989},  {8, 0.8, 0.4576, 0.2860, 2.390, 3.829},
               {16, 0.8, 0.3049, 0.0953, 1.068, 1.787}, {16, 0.9, 0.5913, 0.3696, 2.550, 3.989},
               {20, 0.8, 0.2561, 0.0640, 0.811, 1.386}, {32, 0.9, 0.4582, 0.1432, 1.195, 1.915}};
  constexpr double kS = 10'000;  // ns: so long that a wait below 1 ns, which counts as none, plays no part
  for (const auto& row : table) {
    SCOPED_TRACE("k " + std::to_string(row.k) + " rho " + std::to_string(row.rho));
    const double mean_of_those_who_wait = kS / (row.k * (1 - row.rho));
    const std::vector<Interval> waits = AllOverSeeds([&](uint64_t seed) {
      const RunResult result = Result(PlanOf({"c-fcfs", "exp:10us", row.k, row.rho, 1'000'000}, seed));
      const abi::Histogram& histogram = Requests(result).waits();
      return std::vector{ShareFrom(histogram, 1),
                         ShareFrom(histogram, mean_of_those_who_wait),
                         ShareFrom(histogram, 2 * mean_of_those_who_wait),
                         Requests(result).WaitUs().mean * 1e3 / kS,
                         PercentileNs(histogram, 99) / kS,
                         PercentileNs(histogram, 99.9) / kS};
    });
    ExpectNear(waits[0], row.c);
    ExpectNear(waits[1], row.c * std::exp(-1));
    ExpectNear(waits[2], row.c * std::exp(-2), 0.1);
    ExpectNear(waits[3], row.mean);
    ExpectNear(waits[4], row.p99);
    ExpectNear(waits[5], row.p999, 0.1);
  }
}

TEST(ClosedForms, PartitionedIsSoManyQueuesOfOneCore) {
  for (const uint16_t k : {4, 16}) {
    const std::vector<Interval> sojourns = SojournsUs({"d-fcfs", "exp:1us", k, 0.8, 1'000'000});
    ExpectNear(sojourns[0], 5.0);
    ExpectNear(sojourns[1], 4.605 * 5.0);
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
  for (const auto& [rho, sojourn] : {std::pair{0.5, 1.266}, {0.8, 1.947}, {0.9, 2.614}, {0.95, 3.383}}) {
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
  for (const auto& [rho, sojourn] : {std::pair{0.5, 1.618}, {0.8, 2.562}, {0.9, 3.541}, {0.95, 4.888}}) {
    const double s2 = ((1 + rho) - std::sqrt((1 + rho) * (1 + rho) - 4 * rho * rho)) / 2;
    const double r = rho / (1 + rho - s2);
    EXPECT_NEAR((rho + s2 / (1 - r)) / rho, sojourn, 1e-3);  // the table's last digit
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
