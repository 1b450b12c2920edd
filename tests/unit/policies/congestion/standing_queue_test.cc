// standing-queue against queues of real items: is one that was there at the last check still there?
#include "policies/congestion/standing_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <random>
#include <set>

#include "policies/congestion/null.h"

namespace sluice {
namespace {

// A first-in, first-out queue that remembers which items the last check saw.
class Queue {
 public:
  explicit Queue(uint32_t start) : head_(start), tail_(start) {}
  void Push(size_t n) {
    for (; n > 0; n--) items_.push_back(tail_++);
  }
  void Pop(size_t n) {
    for (; n > 0 && !items_.empty(); n--, head_++) items_.pop_front();
  }
  [[nodiscard]] bool Standing() const {
    return std::any_of(items_.begin(), items_.end(), [&](uint32_t item) { return seen_.count(item) != 0; });
  }
  void See() { seen_ = {items_.begin(), items_.end()}; }
  void Forget() { seen_.clear(); }
  [[nodiscard]] uint32_t head() const { return head_; }
  [[nodiscard]] uint32_t tail() const { return tail_; }

 private:
  std::deque<uint32_t> items_;
  std::set<uint32_t> seen_;
  uint32_t head_, tail_;
};

struct Kthread {
  Queue run_queue, ring;
  bool running = true;
};

TEST(StandingQueue, SaysWhatARealQueueSays) {
  size_t added = 0, kept = 0;
  for (uint32_t seed = 1; seed <= 300; seed++) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    StandingQueue policy({});
    const auto app = static_cast<AppId>(random() % kMaxApps);
    std::vector<Kthread> kthreads;
    // Counters start anywhere, often just below their wrap.
    const auto start = [&] { return random() % 2 == 0 ? 0u - random() % 8 : static_cast<uint32_t>(random()); };
    for (uint32_t k = 0; k < 1 + random() % 4; k++) kthreads.push_back({Queue(start()), Queue(start())});
    policy.Attach(app, static_cast<uint16_t>(kthreads.size()));
    for (int poll = 0; poll < 100; poll++) {
      std::vector<KthreadSignals> signals;
      bool standing = false;
      for (KthreadId k = 0; k < kthreads.size(); k++) {
        Kthread& kthread = kthreads[k];
        if (random() % 8 == 0) kthread.running = !kthread.running;
        for (Queue* queue : {&kthread.run_queue, &kthread.ring}) {
          queue->Push(random() % 3);
          queue->Pop(random() % 5);
          if (!kthread.running) {
            queue->Forget();  // whoever comes back starts afresh
            continue;
          }
          standing |= queue->Standing();
          queue->See();
        }
        if (!kthread.running) continue;
        signals.push_back({.rq_head = kthread.run_queue.head(),
                           .rq_tail = kthread.run_queue.tail(),
                           .rx_sent = kthread.ring.tail(),
                           .rx_consumed = kthread.ring.head(),
                           .kthread = k});
      }
      const Congestion verdict = policy.Poll(app, signals, 0);
      ASSERT_EQ(verdict, standing ? Congestion::kAddCore : Congestion::kKeep) << "poll " << poll;
      standing ? added++ : kept++;
    }
  }
  EXPECT_GT(added, 1000u);
  EXPECT_GT(kept, 1000u);
}

TEST(StandingQueue, ANewItemIsNotStanding) {
  StandingQueue policy({});
  policy.Attach(0, 1);
  for (uint32_t i = 1; i < 10; i++) {
    // One item in, the one before it out: never empty, never standing.
    const KthreadSignals s{.rq_head = i - 1, .rq_tail = i, .kthread = 0};
    EXPECT_EQ(policy.Poll(0, {&s, 1}, i), Congestion::kKeep);
  }
}

TEST(StandingQueue, AttachForgetsTheAppThatWasThere) {
  StandingQueue policy({});
  policy.Attach(7, 1);
  const KthreadSignals busy{.rq_head = 0, .rq_tail = 5, .kthread = 0};
  EXPECT_EQ(policy.Poll(7, {&busy, 1}, 0), Congestion::kKeep);
  EXPECT_EQ(policy.Poll(7, {&busy, 1}, 1), Congestion::kAddCore);
  policy.Detach(7);
  policy.Attach(7, 1);
  EXPECT_EQ(policy.Poll(7, {&busy, 1}, 2), Congestion::kKeep);
}

TEST(StandingQueue, AppsDoNotMix) {
  StandingQueue policy({});
  policy.Attach(1, 1);
  policy.Attach(2, 1);
  const KthreadSignals busy{.rq_head = 0, .rq_tail = 5, .kthread = 0};
  EXPECT_EQ(policy.Poll(1, {&busy, 1}, 0), Congestion::kKeep);
  EXPECT_EQ(policy.Poll(2, {&busy, 1}, 0), Congestion::kKeep);
  EXPECT_EQ(policy.Poll(1, {&busy, 1}, 1), Congestion::kAddCore);
}

// An app writes its own counters: any values give some verdict, and nothing else.
TEST(StandingQueue, NonsenseIsHarmless) {
  std::mt19937 random(1);
  StandingQueue policy({});
  policy.Attach(0, 8);
  for (int i = 0; i < 1000; i++) {
    std::vector<KthreadSignals> signals(8);
    for (KthreadId k = 0; k < 8; k++) {
      signals[k] = {.rq_head = static_cast<uint32_t>(random()),
                    .rq_tail = static_cast<uint32_t>(random()),
                    .rx_sent = static_cast<uint32_t>(random()),
                    .rx_consumed = static_cast<uint32_t>(random()),
                    .kthread = k};
    }
    EXPECT_NE(policy.Poll(0, signals, 0), Congestion::kGiveUp);
  }
}

TEST(NullCongestion, KeepsEverybody) {
  NullCongestion policy({});
  const KthreadSignals busy{.rq_head = 0, .rq_tail = 5, .kthread = 0};
  policy.Attach(0, 1);
  for (int i = 0; i < 3; i++) EXPECT_EQ(policy.Poll(0, {&busy, 1}, 0), Congestion::kKeep);
}

}  // namespace
}  // namespace sluice
