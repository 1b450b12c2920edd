// utilization: the busy fraction of a window against the range, whatever the way in which kthreads report it.
#include "policies/congestion/utilization.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace sluice {
namespace {

constexpr Ticks kInterval = 5000;  // ticks are nanoseconds
constexpr Ticks kWindow = 100'000;

// An app whose kthreads work a given part of their time, in pieces, and publish it when a piece is done.
class Worker {
 public:
  Worker(uint16_t kthreads, std::string_view parameters)
      : policy({.interval = kInterval, .parameters = parameters}), signals_(kthreads), idle_(kthreads) {
    for (KthreadId k = 0; k < kthreads; k++) signals_[k].kthread = k;
    policy.Attach(3, kthreads);
  }

  // Polls for `windows`, busy in pieces of `piece`; returns the verdicts that were not kKeep.
  std::vector<Congestion> Run(double fraction, Ticks piece, int windows, std::mt19937& random) {
    std::vector<Congestion> verdicts;
    for (const Ticks end = now_ + kWindow * static_cast<Ticks>(windows); now_ < end;) {
      now_ += kInterval;
      for (size_t k = 0; k < signals_.size(); k++) {
        idle_[k] += fraction * kInterval * (0.97 + 0.06 * static_cast<double>(random() % 1000) / 1000);
        while (idle_[k] >= static_cast<double>(piece)) {
          signals_[k].busy += piece;
          idle_[k] -= static_cast<double>(piece);
        }
      }
      const Congestion verdict = policy.Poll(3, signals_, now_);
      if (verdict != Congestion::kKeep) verdicts.push_back(verdict);
    }
    return verdicts;
  }

  UtilizationCongestion policy;

 private:
  std::vector<KthreadSignals> signals_;
  std::vector<double> idle_;
  Ticks now_ = 1'000'000'000;
};

TEST(Utilization, InsideTheRangeNothingAboveOneMoreBelowOneLess) {
  std::mt19937 random(1);
  for (const uint16_t kthreads : {1, 3, 16}) {
    for (const Ticks piece : {200u, 1000u, 7000u}) {  // the last longer than the interval
      const auto verdicts = [&](double fraction) {
        return Worker(kthreads, "60%..90%").Run(fraction, piece, 20, random);
      };
      EXPECT_TRUE(verdicts(0.75).empty());
      const auto above = verdicts(0.97);
      const auto below = verdicts(0.50);
      EXPECT_GE(above.size(), 18u) << "once a window";
      EXPECT_LE(above.size(), 20u);
      EXPECT_EQ(above, std::vector(above.size(), Congestion::kAddCore));
      EXPECT_GE(below.size(), 18u);
      EXPECT_EQ(below, std::vector(below.size(), Congestion::kGiveUp));
    }
  }
}

TEST(Utilization, WithOneValueItNeverTakes) {
  std::mt19937 random(2);
  EXPECT_TRUE(Worker(4, "80%").Run(0.01, 1000, 20, random).empty());
  EXPECT_GE(Worker(4, "80%").Run(0.99, 1000, 20, random).size(), 18u);
}

// The window begins anew with a grant: the core just given has to show first.
TEST(Utilization, JudgesNobodyForAWindowAfterAGrant) {
  std::mt19937 random(3);
  Worker worker(2, "60%..90%");
  for (int grant = 0; grant < 20; grant++) {
    worker.policy.OnGrant(3, 1'000'000'000 + static_cast<Ticks>(grant) * (kWindow - kInterval));
    const auto verdicts = worker.Run(0.99, 1000, 1, random);
    EXPECT_LE(verdicts.size(), 1u);
  }
}

// A kthread that was away between two polls starts afresh: what it worked before does not count.
TEST(Utilization, TimeWithoutACoreCountsNeitherWay) {
  UtilizationCongestion policy({.interval = kInterval, .parameters = "60%..90%"});
  policy.Attach(0, 2);
  Ticks now = 1'000'000, busy = 0;
  for (int step = 0; step < 200; step++) {
    now += kInterval;
    // Kthread 0 is three quarters busy. Kthread 1 comes for a single poll now and then, with a leap in its account.
    std::vector<KthreadSignals> signals = {{.busy = busy += kInterval * 3 / 4, .kthread = 0}};
    if (step % 2 == 0) signals.push_back({.busy = static_cast<Ticks>(step) * 1'000'000, .kthread = 1});
    EXPECT_EQ(policy.Poll(0, signals, now), Congestion::kKeep) << step;
  }
}

// An app may write what it likes: it can make itself look idle or busy, and nobody else.
TEST(Utilization, LiesChangeNothingForOthers) {
  std::mt19937_64 lies(4);
  std::mt19937 random(4);
  Worker honest(2, "60%..90%");
  honest.policy.Attach(0, 2);
  for (int step = 0; step < 200; step++) {
    const std::vector<KthreadSignals> signals = {{.busy = lies(), .kthread = 0}, {.busy = lies(), .kthread = 1}};
    (void)honest.policy.Poll(0, signals, lies());
    EXPECT_TRUE(honest.Run(0.75, 1000, 1, random).empty());
  }
}

}  // namespace
}  // namespace sluice
