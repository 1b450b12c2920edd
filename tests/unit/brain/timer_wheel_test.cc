// The wheel against a sorted list, over random times from ticks to days.
#include "iokernel/brain/timer_wheel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace sluice {
namespace {

struct Fixture {
  explicit Fixture(size_t count) : entries(count), expected(count, abi::kNoTimer) {
    for (size_t i = 0; i < count; i++) entries[i].kthread = static_cast<KthreadId>(i);
  }
  void Arm(size_t i, Ticks due) {
    wheel.Arm(entries[i], due);
    expected[i] = due;
  }
  void Disarm(size_t i) {
    wheel.Disarm(entries[i]);
    expected[i] = abi::kNoTimer;
  }
  TimerWheel wheel;
  std::vector<WheelEntry> entries;
  std::vector<Ticks> expected;  // when each is due
};

TEST(TimerWheel, FiresWhatIsDueAndNothingElse) {
  for (uint64_t seed = 1; seed <= 50; seed++) {
    std::mt19937_64 random(seed);
    Fixture f(64);
    Ticks now = random() >> (random() % 64);
    for (int step = 0; step < 2000; step++) {
      const size_t i = random() % f.entries.size();
      // Times of all magnitudes, some in the past.
      const Ticks away = random() >> (14 + random() % 50);
      switch (random() % 4) {
        case 0:
          f.Disarm(i);
          break;
        case 1:
          f.Arm(i, now > away && random() % 8 == 0 ? now - away : now + away);
          break;
        default:
          now += random() >> (30 + random() % 34);
          // Never later than the first that is due.
          ASSERT_LE(f.wheel.earliest(), std::max(now, *std::min_element(f.expected.begin(), f.expected.end())));
          f.wheel.Expire(now, [&](WheelEntry& entry) {
            ASSERT_LE(f.expected[entry.kthread], now) << "seed " << seed << " step " << step;
            f.expected[entry.kthread] = abi::kNoTimer;
            if (random() % 4 == 0) f.Arm(entry.kthread, now + 1 + random() % 1000);
            if (random() % 4 == 0) f.Disarm(random() % f.entries.size());
          });
          for (const Ticks due : f.expected) ASSERT_GT(due, now) << "seed " << seed << " step " << step;
      }
    }
  }
}

TEST(TimerWheel, AClockThatGoesBackOnlyDelays) {
  Fixture f(2);
  f.wheel.Expire(1'000'000, [](WheelEntry&) {});
  int fired = 0;
  f.Arm(0, 999'000);
  f.wheel.Expire(999'500, [&](WheelEntry&) { fired++; });
  f.wheel.Expire(1'000'000, [&](WheelEntry&) { fired++; });
  EXPECT_EQ(fired, 1);
}

TEST(TimerWheel, TheEndOfTimeIsNever) {
  Fixture f(2);
  f.Arm(0, abi::kNoTimer);
  EXPECT_FALSE(f.entries[0].armed);
  f.Arm(1, abi::kNoTimer - 1);
  int fired = 0;
  f.wheel.Expire(abi::kNoTimer - 2, [&](WheelEntry&) { fired++; });
  EXPECT_EQ(fired, 0);
  f.wheel.Expire(abi::kNoTimer - 1, [&](WheelEntry&) { fired++; });
  EXPECT_EQ(fired, 1);
}

}  // namespace
}  // namespace sluice
