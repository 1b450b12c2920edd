// The model of the machine: the real allocator and policies, where theory or reason says what must come out.
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <vector>

#include "apps/simulator/engine/report.h"
#include "tests/lib/eal.h"
#include "tests/sim/plans.h"

namespace sluice::sim {
namespace {

RunPlan WithoutCosts(const System& system, uint64_t seed) {
  RunPlan plan = PlanOf(system, seed);
  plan.costs = Costs::None();
  return plan;
}

// Kthreads that never park and steal at no cost are one queue for all cores.
TEST(Machine, WithoutCostsItIsTheCentralQueue) {
  const auto wait = [](const char* service) {
    return OverSeeds([&](uint64_t seed) {
      RunPlan plan = WithoutCosts({"sluice", service, 16, 0.8, 300'000}, seed);
      plan.idle_spin = kSecond;
      plan.apps[0].guaranteed = 16;
      return Requests(Result(plan)).WaitUs().mean;
    });
  };
  ExpectNear(wait("exp:1us"), 0.0953, 0.1);
}

// M/G/1 with set-up D, the park and the wake of the only core:
// E[Wq] = lambda E[S^2] / (2 (1 - rho)) + (2 E[D] + lambda E[D^2]) / (2 (1 + lambda E[D])).
TEST(Machine, WakingTheOnlyCoreCostsItsSetUp) {
  for (const Time wake : {5 * kUs, 30 * kUs}) {
    for (const double rho : {0.3, 0.7}) {
      const Interval wait = OverSeeds([&](uint64_t seed) {
        RunPlan plan = WithoutCosts({"sluice", "exp:10us", 1, rho, 60'000}, seed);
        plan.costs.wake = wake;
        plan.idle_spin = 0;
        plan.interval = 400 * kNs;  // until the park is seen
        return Requests(Result(plan)).WaitUs().mean;
      });
      const double lambda = rho / 10, d = ToUs(wake);
      ExpectNear(wait, lambda * 200 / (2 * (1 - rho)) + (2 * d + lambda * d * d) / (2 * (1 + lambda * d)));
    }
  }
}

TEST(Machine, LittleAndUtilisationHoldExactly) {
  sluice::testing::StartEal();
  for (const std::string steering : {"rss", "round-robin", "flow-affinity"}) {
    for (const std::string slice : {"0", "20us"}) {
      RunPlan plan = PlanOf({"sluice", "lognormal:5us:3", 8, 0.7, 50'000}, 3);
      plan.steering = steering;
      plan.apps[0].flows = 500;
      plan.apps[0].slice = *ParseTime(slice);
      const RunResult result = Result(plan);
      const Ledger& ledger = result.ledger;
      EXPECT_EQ(ledger.in_system(), 0u);
      EXPECT_EQ(ledger.drops(), 0u);
      EXPECT_TRUE(ledger.all().in_system == ledger.sojourn_sum()) << steering;
      // Costs come on top of the work, and a core is held while it works.
      EXPECT_TRUE(ledger.all().BusyCoreTime() >= ledger.all().work);
      EXPECT_TRUE(ledger.all().held >= ledger.all().BusyCoreTime());
    }
  }
}

TEST(Machine, NothingBeatsTheCentralQueueAtEqualWork) {
  for (const std::string service : {"exp:10us", "const:10us", "bimodal:0.9:1us:20us"}) {
    const auto mean = [&](const char* scheduler) {
      return Requests(Result(PlanOf({scheduler, service, 8, 0.7, 100'000}, 1))).MeanUs();
    };
    EXPECT_GT(mean("sluice"), mean("c-fcfs")) << service;
  }
}

// Parked cores cost nothing: few are used at low load, and each wait for one shows.
TEST(Machine, UsesAsManyCoresAsTheLoadNeeds) {
  double before = 0;
  for (const double load : {0.1, 0.4, 0.8}) {
    const RunResult result = Result(PlanOf({"sluice", "exp:10us", 16, load, 100'000}, 1));
    const Totals& all = result.ledger.all();
    const double used = static_cast<double>(all.held) / static_cast<double>(all.at);
    EXPECT_GE(used, 16 * load * 0.99);
    EXPECT_LT(used, 16 * load + 4);
    EXPECT_GT(used, before);
    before = used;
  }
}

// A batch app takes what is left, and gives it up within the preemption bound.
TEST(Machine, BatchWorkFillsTheRestAndYields) {
  RunPlan plan = PlanOf({"sluice", "exp:10us", 8, 0.4, 100'000}, 1);
  const double alone = PercentileNs(Requests(Result(plan)).histogram(), 99);
  AppPlan batch;
  batch.name = "batch";
  batch.gets_requests = false;
  batch.flows = 0;
  batch.priority = Priority::kBestEffort;
  batch.batch_threads = 16;
  batch.batch_unit = 100 * kUs;
  plan.apps.push_back(batch);
  const RunResult result = Result(plan);
  const Totals& all = result.ledger.all();
  EXPECT_GT(static_cast<double>(all.held), 0.97 * 8 * static_cast<double>(all.at));
  EXPECT_GT(static_cast<double>(all.work), 0.7 * 8 * static_cast<double>(all.at));
  EXPECT_GT(result.machine.batch_units, 0u);
  EXPECT_GT(result.machine.signals, 0u);
  // The grace period, the signal and the wake, a few times over; far less than a unit of batch work.
  EXPECT_LT(PercentileNs(Requests(result).histogram(), 99), alone + 80e3);
}

// ---------------------------------------------------------------------------------------------------
// Time slices: the allocator ends turns at its passes, by a signal.

RunPlan Sliced(const char* service, uint16_t cores, double load, Time slice) {
  RunPlan plan = PlanOf({"sluice", service, cores, load, 200'000}, 1);
  plan.apps[0].guaranteed = cores;
  plan.apps[0].slice = slice;
  return plan;
}

TEST(Slices, KeepShortRequestsFromWaitingForLongOnes) {
  const auto p99 = [](Time slice) {
    const RunPlan plan = Sliced("bimodal:0.995:0.5us:500us", 4, 0.6, slice);
    EXPECT_EQ(DaemonRefuses(plan), "");
    return PercentileNs(Requests(Result(plan)).histogram(), 99);
  };
  EXPECT_LT(p99(20 * kUs), 0.5 * p99(0));
}

// A gap or a length per line.
std::string TraceFile(const std::string& name, const std::vector<std::string>& lines) {
  std::string path = ::testing::TempDir() + "sluice-" + name + '-' + std::to_string(getpid());
  std::ofstream file(path);
  for (const std::string& line : lines) file << line << '\n';
  return path;
}

// One core, two requests every 100 us, each 20th of them long. A pass must see the slice spent, and two passes in a row
// that somebody waits; the signal and the rest of the way take less than 10 us. Then both go first.
TEST(Slices, WhoComesBehindALongRequestWaitsForASliceAndTwoPassesAtMost) {
  std::vector<std::string> lengths(20, "1us");
  lengths[0] = "500us";
  const std::string services = TraceFile("lengths", lengths), gaps = TraceFile("gaps", {"99us", "1us"});
  for (const Time slice : {20 * kUs, 50 * kUs, 130 * kUs}) {
    RunPlan plan = Sliced(("trace:" + services).c_str(), 1, 0, slice);
    plan.apps[0].arrivals = ArrivalProcess::Parse("trace:" + gaps).value();
    plan.requests = 20'000;
    const RunResult result = Result(plan);
    const double longest_of_the_short = PercentileNs(Requests(result).histogram(), 94.9);
    EXPECT_LT(longest_of_the_short, ToUs(slice + 2 * plan.interval + 10 * kUs) * 1e3);
    EXPECT_GT(longest_of_the_short, ToUs(plan.interval) * 1e3);
    EXPECT_GT(result.machine.turns, 1000u);
    EXPECT_LE(result.machine.turns * slice, 1000 * 500 * kUs) << "a turn that ended before its slice";
  }
  unlink(services.c_str());
  unlink(gaps.c_str());
}

TEST(Slices, NobodyIsInterruptedForNobody) {
  RunPlan plan = Sliced("const:100us", 1, 0.5, 20 * kUs);
  plan.apps[0].arrivals = ArrivalProcess::Parse("uniform").value();
  EXPECT_EQ(Result(plan).machine.turns, 0u);
}

// What every core would want at once the loop does not give: it ends a turn every 5 us on the average.
TEST(Slices, TakeAQuarterOfTheLoopAtMost) {
  const RunPlan plan = Sliced("exp:100us", 32, 0.95, 10 * kUs);
  const MachineFigures figures = Result(plan).machine;
  EXPECT_GT(figures.turns_deferred, 0u);
  EXPECT_LE(figures.turns, figures.end / (5 * kUs) + 4);
}

// Each signal is a system call of the loop, and packets wait for it.
TEST(Slices, EndingTurnsTakesTheLoopsTime) {
  const auto p99_of_the_other = [](Time slice) {
    RunPlan plan = Sliced("exp:100us", 4, 0.4, slice);
    plan.apps[0].guaranteed = plan.apps[0].max_cores = 2;
    AppPlan other = plan.apps[0];
    other.name = "other";
    other.service = ServiceTime::Parse("const:1us").value();
    other.load = 0.01;
    other.slice = 0;
    plan.apps.push_back(other);
    plan.costs.signal = 100 * kUs;
    return PercentileNs(Result(plan).ledger.recorders()[1].histogram(), 99);
  };
  EXPECT_LT(p99_of_the_other(0), 50e3);
  EXPECT_GT(p99_of_the_other(20 * kUs), 90e3);
}

// They wait for that very kthread. Here an app that gets 12 requests every 10 ms must give cores back while it works on
// them: one that is forgotten waits for the next 12, the last one for ever.
TEST(Slices, WhatWasSetAsideOnACoreThatIsTakenBackGoesOn) {
  std::vector<std::string> gaps(12, "1us");
  gaps[0] = "10ms";
  const std::string path = TraceFile("bursts", gaps);
  RunPlan plan = Sliced("mix:1:1us,1:60us", 4, 0, 20 * kUs);
  plan.apps[0].guaranteed = 1;
  plan.apps[0].arrivals = ArrivalProcess::Parse("trace:" + path).value();
  AppPlan other;
  other.name = "other";
  other.service = ServiceTime::Parse("exp:10us").value();
  other.load = 0.5;
  other.guaranteed = 3;
  plan.apps.push_back(other);
  const RunResult result = Result(plan);
  unlink(path.c_str());
  EXPECT_GT(result.machine.turns, 100u);
  EXPECT_GT(result.machine.cedes, 100u);
  EXPECT_LT(PercentileNs(Requests(result).histogram(), 100), 5e6);
}

TEST(Slices, ShorterOnesThanThePassesAreRefused) {
  RunPlan plan = Sliced("exp:10us", 4, 0.5, kNs);
  const auto checked = CheckPlan(plan);
  ASSERT_FALSE(checked);
  EXPECT_NE(checked.error().find("--slice"), std::string::npos) << checked.error();
  EXPECT_NE(checked.error().find("got 0.001us"), std::string::npos) << checked.error();
  EXPECT_NE(checked.error().find("at least the 5us"), std::string::npos) << checked.error();
  plan.interval = kNs;
  EXPECT_TRUE(CheckPlan(plan));
}

TEST(Slices, OfThoseThatIokerneldRefusesOneIsTold) {
  RunPlan plan = Sliced("exp:10us", 16, 0.5, 9 * kUs);
  EXPECT_NE(DaemonRefuses(plan).find("9us: at least 10us"), std::string::npos) << DaemonRefuses(plan);
  plan.apps[0].slice = 10 * kUs;
  EXPECT_EQ(DaemonRefuses(plan), "");
}

// Bursts show in the windows in which they are, and no request is lost between them.
TEST(Machine, ASeriesTellsWhenRequestsWaited) {
  RunPlan plan = PlanOf({"sluice", "const:1us", 4, 0.5, 100'000}, 1);
  plan.apps[0].arrivals = ArrivalProcess::Parse("bursts:100k:3M:10ms").value();
  plan.warm_up = 0;
  plan.window = 10'000 * kUs;
  const RunResult result = Result(plan);
  const std::vector<abi::Histogram>& windows = result.ledger.series().windows();
  ASSERT_GE(windows.size(), 4u);
  uint64_t all = 0;
  for (const abi::Histogram& window : windows) all += window.Count();
  EXPECT_EQ(all, 100'000u);
  EXPECT_NEAR(windows[0].Count(), 1000, 150);
  EXPECT_NEAR(windows[1].Count(), 30'000, 800);
}

TEST(Machine, ARingThatIsFullDropsAndCounts) {
  RunPlan plan = PlanOf({"sluice", "const:100us", 2, 50, 20'000}, 1);
  plan.rx_slots = 4;
  const RunResult result = Result(plan);
  EXPECT_GT(result.ledger.drops(), 0u);
  EXPECT_EQ(result.ledger.in_system(), 0u);
}

TEST(Machine, OneDispatcherCapsAtOneOverItsCostPerPacket) {
  RunPlan plan = PlanOf({"sluice", "const:1us", 64, 0.5, 300'000}, 1);
  plan.costs.steer = 200 * kNs;
  plan.costs.reply = plan.costs.pass = plan.costs.poll = plan.costs.grant = 0;
  plan.apps[0].rate = 20e6;
  const double rate = 300'000 / ToSeconds(Result(plan).machine.end);
  EXPECT_LT(rate, 5e6);
  EXPECT_GT(rate, 4.5e6);
}

TEST(Machine, TheSameSeedGivesTheSameBytes) {
  sluice::testing::StartEal();
  for (const std::string scheduler : {"sluice", "c-fcfs", "steal", "ps:5us"}) {
    RunPlan plan = PlanOf({scheduler, "lognormal:2us:2", 16, 0.5, 50'000}, 42);
    plan.steering = "flow-affinity";
    plan.apps[0].flows = 1000;
    plan.apps[0].slice = 20 * kUs;
    const auto bytes = [&] {
      RunResult result = Result(plan);
      result.wall_seconds = 0;
      return ReportJson(plan, result);
    };
    EXPECT_EQ(bytes(), bytes());
  }
}

}  // namespace
}  // namespace sluice::sim
