// run_queue_test.cc - the queue alone: order, overflow, thieves, and the counts that the IOKernel sees.
#include "runtime/sched/run_queue.h"

#include <gtest/gtest.h>

#include <array>
#include <random>
#include <thread>
#include <vector>

#include "tests/lib/sanitized.h"

namespace sluice::sched {
namespace {

class RunQueueTest : public testing::Test {
 protected:
  RunQueueTest() : uthreads_(5000) {}

  [[nodiscard]] size_t IndexOf(const Uthread* uthread) const { return static_cast<size_t>(uthread - uthreads_.data()); }

  abi::SignalLine line_{};
  RunQueue queue_{&line_};
  std::vector<Uthread> uthreads_;
};

TEST_F(RunQueueTest, KeepsTheOrderThroughTheOverflowList) {
  std::mt19937_64 random(1);
  size_t pushed = 0;
  size_t popped = 0;
  while (popped < uthreads_.size()) {
    for (uint64_t n = random() % 700; n > 0 && pushed < uthreads_.size(); --n) queue_.Push(&uthreads_[pushed++], 1);
    for (uint64_t n = random() % 600; n > 0 && popped < pushed; --n) {
      Uthread* uthread = queue_.Pop();
      ASSERT_NE(uthread, nullptr);
      ASSERT_EQ(IndexOf(uthread), popped++);
      EXPECT_EQ(line_.rq_tail - line_.rq_head, pushed - popped);
    }
  }
  EXPECT_EQ(queue_.Pop(), nullptr);
  EXPECT_TRUE(queue_.LooksEmpty());
}

TEST_F(RunQueueTest, ThievesTakeTheOldestHalf) {
  std::array<Uthread*, 64> loot;
  EXPECT_EQ(queue_.Steal(loot), 0u);
  for (int i = 0; i < 10; ++i) queue_.Push(&uthreads_[i], 1);
  ASSERT_EQ(queue_.Steal(loot), 5u);
  for (size_t i = 0; i < 5; ++i) EXPECT_EQ(IndexOf(loot[i]), i);
  EXPECT_EQ(line_.rq_head, 5u);
  EXPECT_EQ(IndexOf(queue_.Pop()), 5u);
  EXPECT_EQ(line_.rq_head, 6u);
}

TEST_F(RunQueueTest, ThievesReachTheOverflowList) {
  std::array<Uthread*, 64> loot;
  for (size_t i = 0; i < 300; ++i) queue_.Push(&uthreads_[i], 1);
  size_t stolen = 0;
  while (const uint32_t count = queue_.Steal(loot)) {
    for (uint32_t i = 0; i < count; ++i) EXPECT_EQ(IndexOf(loot[i]), stolen++);
  }
  EXPECT_EQ(stolen, 300u);
  EXPECT_EQ(line_.rq_head, line_.rq_tail);
}

TEST_F(RunQueueTest, PublishesTheAgeOfTheOldest) {
  queue_.Publish();
  EXPECT_EQ(line_.oldest_ready, 0u);
  queue_.Push(&uthreads_[0], 100);
  queue_.Push(&uthreads_[1], 200);
  queue_.Publish();
  EXPECT_EQ(line_.oldest_ready, 100u);
  queue_.Pop();
  queue_.Publish();
  EXPECT_EQ(line_.oldest_ready, 200u);
}

// The owner pushes and pops, thieves steal: everybody is taken exactly once.
TEST_F(RunQueueTest, NobodyIsLostOrTakenTwice) {
  const uint32_t rounds = test::Count(40, 4);
  std::vector<std::atomic<uint32_t>> taken(uthreads_.size());
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> stolen{0};
  const auto thieve = [&] {
    std::array<Uthread*, 64> loot;
    while (!stop) {
      const uint32_t count = queue_.Steal(loot);
      for (uint32_t i = 0; i < count; ++i) ++taken[IndexOf(loot[i])];
      stolen += count;
      if (count == 0) std::this_thread::yield();
    }
  };
  std::thread first(thieve);
  std::thread second(thieve);
  std::mt19937_64 random(2);
  for (uint32_t round = 1; round <= rounds; ++round) {
    for (size_t pushed = 0; pushed < uthreads_.size();) {
      for (uint64_t n = random() % 400; n > 0 && pushed < uthreads_.size(); --n) queue_.Push(&uthreads_[pushed++], 1);
      for (uint64_t n = random() % 200; n > 0; --n) {
        Uthread* uthread = queue_.Pop();
        if (uthread == nullptr) break;
        ++taken[IndexOf(uthread)];
      }
    }
    while (Uthread* uthread = queue_.Pop()) ++taken[IndexOf(uthread)];
    for (const auto& count : taken) {
      while (count < round) std::this_thread::yield();  // a thief is still counting
      ASSERT_EQ(count, round);
    }
  }
  stop = true;
  first.join();
  second.join();
  queue_.Publish();
  EXPECT_EQ(line_.rq_head, line_.rq_tail);
  EXPECT_EQ(line_.rq_tail, rounds * uthreads_.size());
  RecordProperty("stolen", std::to_string(stolen));
}

}  // namespace
}  // namespace sluice::sched
