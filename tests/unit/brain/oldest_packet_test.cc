#include "iokernel/brain/oldest_packet.h"

#include <gtest/gtest.h>

#include <deque>
#include <random>

namespace sluice {
namespace {

TEST(OldestPacket, NothingSentIsNothingWaiting) {
  OldestPacket oldest;
  EXPECT_EQ(oldest.Consumed(0, 0), 0u);
}

TEST(OldestPacket, TheFirstLotNotTakenCounts) {
  OldestPacket oldest;
  oldest.Sent(0, 100);  // messages 0..9
  oldest.Sent(10, 200);
  EXPECT_EQ(oldest.Consumed(0, 20), 100u);
  EXPECT_EQ(oldest.Consumed(9, 20), 100u);
  EXPECT_EQ(oldest.Consumed(10, 20), 200u);
  EXPECT_EQ(oldest.Consumed(20, 20), 0u);
}

TEST(OldestPacket, StartsAfreshAfterItRanEmpty) {
  OldestPacket oldest;
  oldest.Sent(0, 100);
  EXPECT_EQ(oldest.Consumed(1, 1), 0u);
  oldest.Sent(1, 900);
  EXPECT_EQ(oldest.Consumed(1, 2), 900u);
}

TEST(OldestPacket, CountsModulo32Bits) {
  OldestPacket oldest;
  oldest.Sent(0xfffffffe, 100);
  oldest.Sent(3, 200);
  EXPECT_EQ(oldest.Consumed(1, 5), 100u);
  EXPECT_EQ(oldest.Consumed(3, 5), 200u);
}

// Against an exact record of every message: never younger than the truth, exact while eight notes are enough.
TEST(OldestPacket, NeverMakesAPacketYounger) {
  for (uint64_t seed = 0; seed < 200; seed++) {
    std::mt19937_64 random(seed);
    OldestPacket oldest;
    std::deque<Ticks> truth;
    uint32_t sent = 0xffffff00, consumed = sent;
    Ticks now = 1;
    size_t lots = 0;
    for (int step = 0; step < 300; step++) {
      now += random() % 50;
      if (random() % 2 == 0) {
        const uint32_t count = 1 + random() % 5;
        oldest.Sent(sent, now);
        truth.insert(truth.end(), count, now);
        sent += count;
        lots++;
      } else {
        for (uint64_t n = random() % 8; n > 0 && !truth.empty(); n--, consumed++) truth.pop_front();
      }
      const Ticks answer = oldest.Consumed(consumed, sent);
      if (truth.empty()) {
        ASSERT_EQ(answer, 0u) << "seed " << seed;
        lots = 0;
      } else {
        ASSERT_NE(answer, 0u) << "seed " << seed;
        ASSERT_LE(answer, truth.front()) << "seed " << seed;
        if (lots <= 8) {
          ASSERT_EQ(answer, truth.front()) << "seed " << seed;
        }
      }
    }
  }
}

}  // namespace
}  // namespace sluice
