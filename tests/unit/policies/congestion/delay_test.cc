// delay: the threshold exactly, and the range: a core is given up only after a calm that lasted.
#include "policies/congestion/delay.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace sluice {
namespace {

// Ticks are nanoseconds.
DelayCongestion Make(std::string_view parameters) {
  return DelayCongestion({.interval = 5000, .parameters = parameters});
}

KthreadSignals Waiting(Ticks packet, Ticks uthread) { return {.oldest_packet = packet, .oldest_uthread = uthread}; }

TEST(Delay, LongerThanTheThresholdAndNotAsLong) {
  for (const auto& [packet, uthread] : {std::pair<Ticks, Ticks>{1000, 0}, {0, 1000}, {1000, 5000}, {5000, 1000}}) {
    DelayCongestion policy = Make("10us");
    policy.Attach(0, 2);
    const std::vector<KthreadSignals> signals = {Waiting(0, 0), Waiting(packet, uthread)};
    EXPECT_EQ(policy.Poll(0, signals, 11'000), Congestion::kKeep);
    EXPECT_EQ(policy.Poll(0, signals, 11'001), Congestion::kAddCore);
  }
}

TEST(Delay, TimesInTheFutureAreNoDelay) {
  DelayCongestion policy = Make("10us");
  policy.Attach(0, 1);
  EXPECT_EQ(policy.Poll(0, std::vector{Waiting(~Ticks{0}, 90'000)}, 50'000), Congestion::kKeep);
}

TEST(Delay, TheRateTurnsTimesIntoTicks) {
  DelayCongestion policy({.rate = abi::TickRate(2'000'000'000), .parameters = "10us"});
  policy.Attach(0, 1);
  EXPECT_EQ(policy.Poll(0, std::vector{Waiting(1, 0)}, 20'001), Congestion::kKeep);
  EXPECT_EQ(policy.Poll(0, std::vector{Waiting(1, 0)}, 20'002), Congestion::kAddCore);
}

// Against the rule said plainly, for one threshold and a range, over random signals of two apps at once.
TEST(Delay, FollowsItsRule) {
  struct Model {
    Ticks low, high;
    Ticks calm_since = 0;  // 0: not calm
    Congestion Poll(Ticks waited, Ticks now) {
      if (waited > high) return calm_since = 0, Congestion::kAddCore;
      if (waited >= low) return calm_since = 0, Congestion::kKeep;
      if (calm_since == 0) calm_since = now;
      if (now - calm_since < high) return Congestion::kKeep;
      calm_since = now;
      return Congestion::kGiveUp;
    }
  };
  int given_up = 0, added = 0;
  for (uint32_t seed = 1; seed <= 200; seed++) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    const bool range = seed % 2 == 0;
    DelayCongestion policy = Make(range ? "5us..20us" : "10us");
    std::vector<Model> models(2, range ? Model{5000, 20'000} : Model{0, 10'000});
    for (AppId app = 0; app < 2; app++) policy.Attach(app, 4);
    Ticks now = 1'000'000;
    const uint32_t busy = static_cast<uint32_t>(random() % 100);
    for (int step = 0; step < 300; step++) {
      now += 1 + random() % 6000;
      const auto app = static_cast<AppId>(random() % 2);
      if (random() % 50 == 0) {
        policy.OnGrant(app, now);
        models[app].calm_since = 0;
      }
      std::vector<KthreadSignals> signals(random() % 5);
      Ticks waited = 0;
      for (KthreadSignals& s : signals) {
        if (random() % 400 < busy) waited = std::max(waited, now - (s.oldest_packet = now - random() % 25'000));
        if (random() % 400 < busy) waited = std::max(waited, now - (s.oldest_uthread = now - random() % 25'000));
      }
      const Congestion verdict = policy.Poll(app, signals, now);
      ASSERT_EQ(verdict, models[app].Poll(waited, now)) << "step " << step;
      given_up += verdict == Congestion::kGiveUp ? 1 : 0;
      added += verdict == Congestion::kAddCore ? 1 : 0;
      ASSERT_TRUE(range || verdict != Congestion::kGiveUp) << "one threshold never takes";
    }
  }
  EXPECT_GT(given_up, 500);
  EXPECT_GT(added, 500);
}

}  // namespace
}  // namespace sluice
