// Random numbers and distributions: the same bytes everywhere, and what theory says of them.
#include "apps/simulator/engine/distribution.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <bit>
#include <cmath>
#include <fstream>

#include "apps/simulator/engine/event_queue.h"
#include "apps/simulator/engine/fifo.h"
#include "apps/simulator/engine/index_set.h"
#include "tests/sim/plans.h"

namespace sluice::sim {
namespace {

TEST(Random, LogAndExpAgreeWithTheLibrary) {
  Random random(1, 1);
  for (int i = 0; i < 100'000; ++i) {
    const double x = random.Unit();
    EXPECT_NEAR(Log(x), std::log(x), 4e-16 * std::max(1.0, std::abs(std::log(x))));
    const double y = 40 * random.Unit() - 20;
    EXPECT_NEAR(Exp(y) / std::exp(y), 1, 1e-15);
  }
  EXPECT_EQ(Log(1.0), 0.0);
  EXPECT_TRUE(std::isfinite(Log(0x1p-53)));
}

// Other compilers, options and machines must give these very bits.
TEST(Random, TheSequenceIsFixed) {
  Random random(42, 7);
  double sum = 0;
  for (int i = 0; i < 1'000'000; ++i) sum += random.Exponential() * random.Normal() + Exp(random.Normal());
  EXPECT_EQ(std::bit_cast<uint64_t>(sum), 4699814276889950533u);
}

TEST(Random, ARunIsFixed) {
  RunPlan plan = PlanOf({"c-fcfs", "lognormal:2us:2", 16, 0.7, 100'000}, 42);
  EXPECT_EQ(static_cast<uint64_t>(Result(plan).ledger.sojourn_sum()), 209493784334u);
  plan.scheduler = "ps:0";
  EXPECT_EQ(static_cast<uint64_t>(Result(plan).ledger.sojourn_sum()), 205954693512u);
}

TEST(Distribution, MomentsAreThoseAskedFor) {
  const struct {
    const char* text;
    double mean_us, cv2;
  } table[] = {{"const:10us", 10, 0},
               {"exp:1us", 1, 1},
               {"bimodal:0.995:0.5us:500us", 2.9975, 138.13},
               {"lognormal:10us:2", 10, 4},
               {"mix:44:5.7us,4:6us,44:20us,4:88us,4:100us", 19.068, 1.4794}};
  for (const auto& row : table) {
    ServiceTime service = *ServiceTime::Parse(row.text);
    EXPECT_NEAR(service.Mean() / kUs, row.mean_us, 1e-9 * row.mean_us) << row.text;
    Random random(5, 1);
    double sum = 0, squares = 0;
    constexpr int kDraws = 2'000'000;
    for (int i = 0; i < kDraws; ++i) {
      const double us = ToUs(service.Draw(random));
      sum += us;
      squares += us * us;
    }
    const double mean = sum / kDraws;
    EXPECT_NEAR(mean, row.mean_us, 0.03 * row.mean_us) << row.text;
    EXPECT_NEAR(squares / kDraws / mean / mean - 1, row.cv2, 0.05 * row.cv2 + 1e-9) << row.text;
  }
}

TEST(Distribution, BurstsKeepTheirTwoRates) {
  ArrivalProcess bursts = *ArrivalProcess::Parse("bursts:100k:5M:1ms");
  Random random(1, 1);
  uint64_t low = 0, high = 0;
  for (Time at = 0; (at = bursts.Next(random)) < kSecond;) ((at / (kSecond / 1000)) % 2 == 0 ? low : high)++;
  EXPECT_NEAR(static_cast<double>(low), 0.5 * 100e3, 0.02 * 50e3);
  EXPECT_NEAR(static_cast<double>(high), 0.5 * 5e6, 0.01 * 2.5e6);
}

TEST(Distribution, TracesAreReplayedInOrderAndAgain) {
  const std::string path = ::testing::TempDir() + "sluice-trace-" + std::to_string(getpid());
  std::ofstream(path) << "# gaps\n1us\n500ns\n";
  ServiceTime service = *ServiceTime::Parse("trace:" + path);
  ArrivalProcess arrivals = *ArrivalProcess::Parse("trace:" + path);
  unlink(path.c_str());
  Random random(1, 1);
  for (const Time length : {kUs, kUs / 2, kUs}) EXPECT_EQ(service.Draw(random), length);
  for (const Time at : {kUs, kUs * 3 / 2, kUs * 5 / 2}) EXPECT_EQ(arrivals.Next(random), at);
}

TEST(Distribution, WrongTextsAreRefusedWithASentence) {
  for (const char* text : {"", "exp", "exp:", "exp:10", "norm:1us", "bimodal:2:1us:2us", "bimodal:0.5:1us",
                           "lognormal:1us:0", "mix:", "mix:1", "trace:/nonexistent"}) {
    EXPECT_FALSE(ServiceTime::Parse(text)) << text;
  }
  for (const char* text : {"", "poison", "bursts:1:2", "bursts:1k:0:1s", "bursts:1k:1k:0", "trace:/nonexistent"}) {
    EXPECT_FALSE(ArrivalProcess::Parse(text)) << text;
  }
}

TEST(EventQueue, GivesEventsInOrder) {
  Random random(3, 3);
  EventQueue queue;
  Time last = 0;
  for (int i = 0; i < 20'000; ++i) {
    queue.Push({last + random.Below(1000), 0, 0});
    if (random.Below(3) == 0) {
      EXPECT_GE(queue.NextTime(), last);
      last = queue.NextTime();
      random.Below(2) == 0 ? queue.Pop() : queue.ReplaceTop({last + random.Below(1000), 0, 0});
    }
  }
  for (; !queue.empty(); queue.Pop()) {
    EXPECT_GE(queue.NextTime(), last);
    last = queue.NextTime();
  }
}

TEST(Fifo, KeepsTheOrderWhileItGrows) {
  Fifo<int> fifo;
  int in = 0, out = 0;
  for (int i = 0; i < 1000; ++i) {
    for (int k = 0; k < 3; ++k) fifo.Push(in++);
    for (int k = 0; k < 2; ++k) ASSERT_EQ(fifo.Pop(), out++);
  }
  EXPECT_EQ(fifo.size(), 1000u);
}

TEST(IndexSet, FindsTheNextMemberGoingRound) {
  IndexSet set(1000);
  set.Set(3, true);
  set.Set(700, true);
  set.Set(700, true);
  EXPECT_EQ(set.size(), 2u);
  EXPECT_EQ(set.From(0), 3);
  EXPECT_EQ(set.From(4), 700);
  EXPECT_EQ(set.From(701), 3);
  set.Set(3, false);
  EXPECT_EQ(set.From(701), 700);
}

}  // namespace
}  // namespace sluice::sim
