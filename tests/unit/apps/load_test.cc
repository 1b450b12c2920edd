// load_test.cc - the accounting of the synthetic load.
#include "apps/synthetic/load.h"

#include <gtest/gtest.h>

#include <map>

namespace sluice::apps {
namespace {

LoadOptions Options(uint32_t flows) {
  LoadOptions options;
  options.rate = 1000;
  options.flows = flows;
  options.warmup_ns = 1'000'000'000;
  options.measured_ns = 2'000'000'000;
  options.run = 42;
  return options;
}

constexpr uint64_t kInWindowNs = 1'500'000'000;

Message Reply(uint32_t sequence, uint16_t steered, uint16_t executing, uint64_t due_ns = kInWindowNs) {
  Message message;
  message.type = Message::kReply;
  message.run = 42;
  message.sequence = sequence;
  message.due_ns = due_ns;
  message.steered = steered;
  message.executing = executing;
  return message;
}

RunCounts CountsOf(const LoadAccount& account) {
  RunCounts counts;
  account.Report(&counts);
  return counts;
}

TEST(LoadPlan, SequencesAreDensePerFlowAndOnlyTheWindowIsCounted) {
  LoadPlan plan(Options(10));
  std::map<uint32_t, uint32_t> last;
  uint64_t measured = 0;
  while (!plan.Done()) {
    const Message message = plan.Take();
    EXPECT_LT(message.flow, 10u);
    EXPECT_EQ(message.sequence, ++last[message.flow]);
    measured += message.due_ns >= 1'000'000'000;
    plan.OnSent(message.due_ns, message.due_ns);
  }
  RunCounts counts;
  plan.Report(&counts);
  EXPECT_EQ(counts.planned, measured);
  EXPECT_EQ(counts.sent, measured);
  EXPECT_EQ(counts.late, 0u);
  EXPECT_NEAR(static_cast<double>(measured), 2000, 200);
}

TEST(LoadPlan, WhatIsNeverTakenIsStillPlanned) {
  LoadPlan all(Options(1)), none(Options(1));
  while (!all.Done()) static_cast<void>(all.Take());
  RunCounts all_counts, none_counts;
  all.Report(&all_counts);
  none.Report(&none_counts);
  EXPECT_EQ(all_counts.planned, none_counts.planned);
  EXPECT_EQ(none_counts.sent, 0u);
}

TEST(LoadPlan, LateIsBeyondTheLimit) {
  LoadPlan plan(Options(1));
  plan.OnSent(kInWindowNs, kInWindowNs + 50'000);
  plan.OnSent(kInWindowNs, kInWindowNs + 50'001);
  RunCounts counts;
  plan.Report(&counts);
  EXPECT_EQ(counts.late, 1u);
}

TEST(LoadAccount, LatencyIsFromTheIntendedTime) {
  LoadAccount account(Options(1));
  account.OnReply(Reply(1, 0, 0), kInWindowNs + 7'000);
  EXPECT_EQ(account.latency_ns().Max(), 7'000u);
}

TEST(LoadAccount, ChangesOfKthreadAndStealsAreCountedApart) {
  LoadAccount account(Options(1));
  account.OnReply(Reply(1, 0, 0), kInWindowNs);
  account.OnReply(Reply(2, 1, 1), kInWindowNs);  // changed
  account.OnReply(Reply(3, 1, 0), kInWindowNs);  // stolen
  account.OnReply(Reply(4, 1, 1), kInWindowNs);
  const RunCounts counts = CountsOf(account);
  EXPECT_EQ(counts.packets_core_changed, 1u);
  EXPECT_EQ(counts.packets_stolen, 1u);
  EXPECT_EQ(counts.out_of_order, 0u);
}

TEST(LoadAccount, SwappedRepliesAreComparedInTheOrderTheyWereSent) {
  LoadAccount account(Options(1));
  account.OnReply(Reply(1, 0, 0), kInWindowNs);
  account.OnReply(Reply(3, 1, 1), kInWindowNs);
  account.OnReply(Reply(2, 0, 0), kInWindowNs);  // 0, 0, 1: one change, between 2 and 3
  const RunCounts counts = CountsOf(account);
  EXPECT_EQ(counts.out_of_order, 1u);
  EXPECT_EQ(counts.packets_core_changed, 1u);
}

TEST(LoadAccount, ALostPacketHidesItsTwoComparisons) {
  LoadAccount account(Options(1));
  account.OnReply(Reply(1, 0, 0), kInWindowNs);
  account.OnReply(Reply(3, 1, 1), kInWindowNs);
  EXPECT_EQ(CountsOf(account).packets_core_changed, 0u);
  EXPECT_EQ(CountsOf(account).out_of_order, 0u);
}

TEST(LoadAccount, ADuplicateIsNoReply) {
  LoadAccount account(Options(1));
  account.OnReply(Reply(1, 0, 0), kInWindowNs);
  account.OnReply(Reply(1, 0, 0), kInWindowNs);
  EXPECT_EQ(CountsOf(account).received, 1u);
  EXPECT_EQ(CountsOf(account).duplicates, 1u);
}

TEST(LoadAccount, TheWarmUpIsFollowedButNotCounted) {
  LoadAccount account(Options(1));
  account.OnReply(Reply(1, 0, 0, 500'000'000), kInWindowNs);
  account.OnReply(Reply(2, 1, 1), kInWindowNs);
  const RunCounts counts = CountsOf(account);
  EXPECT_EQ(counts.received, 1u);
  EXPECT_EQ(counts.packets_core_changed, 1u);
}

TEST(LoadAccount, AnotherRunsRepliesAndForeignFlowsAreIgnored) {
  LoadAccount account(Options(1));
  Message stray = Reply(1, 0, 0);
  stray.run = 41;
  account.OnReply(stray, kInWindowNs);
  stray = Reply(1, 0, 0);
  stray.flow = 1;
  account.OnReply(stray, kInWindowNs);
  EXPECT_EQ(account.replies(), 0u);
}

TEST(LoadAccount, WithoutKthreadsInTheRepliesThereIsNoFigure) {
  LoadAccount account(Options(1));
  account.OnReply(Reply(1, kNoKthread, kNoKthread), kInWindowNs);
  EXPECT_FALSE(CountsOf(account).packets_core_changed);
  EXPECT_FALSE(CountsOf(account).packets_stolen);
}

}  // namespace
}  // namespace sluice::apps
