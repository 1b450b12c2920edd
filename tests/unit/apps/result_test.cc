// result_test.cc - what is reported, and what is refused with a reason.
#include "apps/lib/result.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace sluice::apps {
namespace {

using ::testing::HasSubstr;

RunCounts Counts(uint64_t n) {
  RunCounts counts;
  counts.seconds = 2;
  counts.planned = counts.sent = counts.received = n;
  counts.late_limit_ns = 50'000;
  counts.packets_core_changed = 3;
  counts.packets_stolen = 0;
  return counts;
}

abi::Histogram Latencies(uint64_t n) {
  abi::Histogram histogram;
  for (uint64_t i = 1; i <= n; ++i) histogram.Record(i);
  return histogram;
}

TEST(Result, TheJsonHasEveryFigureOfAGoodRun) {
  const auto json = nlohmann::json::parse(ResultJson(Counts(20'000), Latencies(20'000), {{"flows", "7"}}));
  EXPECT_EQ(json["flows"], 7);
  EXPECT_EQ(json["offered_rps"], 10'000);
  EXPECT_EQ(json["achieved_rps"], 10'000);
  EXPECT_EQ(json["lost"], 0);
  EXPECT_EQ(json["packets_core_changed"], 3);
  EXPECT_NEAR(json["p50_us"], 10, 0.1);
  EXPECT_NEAR(json["p999_us"], 19.98, 0.2);
  EXPECT_NEAR(json["mean_us"], 10, 0.01);
  EXPECT_EQ(json["samples"], 20'000);
  EXPECT_TRUE(json["why"].empty());
}

TEST(Result, APercentileNeedsTenSamplesBeyondIt) {
  const auto json = nlohmann::json::parse(ResultJson(Counts(9'999), Latencies(9'999), {}));
  EXPECT_TRUE(json["p999_us"].is_null());
  EXPECT_THAT(std::string(json["why"]["p999_us"]), HasSubstr("9999 samples, 10000 are needed"));
  EXPECT_TRUE(json["p99_us"].is_number());
  EXPECT_FALSE(HonestPercentile(50, Latencies(19), Counts(19)).value);
  EXPECT_TRUE(HonestPercentile(50, Latencies(20), Counts(20)).value);
}

TEST(Result, ALateClientMayNotReportTheTail) {
  RunCounts counts = Counts(20'000);
  counts.late = 201;  // 1.005 %
  EXPECT_THAT(HonestPercentile(99, Latencies(20'000), counts).why, HasSubstr("late"));
  EXPECT_TRUE(HonestPercentile(95, Latencies(20'000), counts).value);
}

TEST(Result, WhatWasNeverSentCountsAsLate) {
  RunCounts counts = Counts(20'000);
  counts.planned = 21'000;
  EXPECT_FALSE(HonestPercentile(99, Latencies(20'000), counts).value);
  EXPECT_TRUE(HonestPercentile(90, Latencies(20'000), counts).value);
}

TEST(Result, APercentileAmongTheLostIsUnknown) {
  RunCounts counts = Counts(20'000);
  counts.sent = counts.planned = 20'100;  // 0.5 % lost
  EXPECT_THAT(HonestPercentile(99.9, Latencies(20'000), counts).why, HasSubstr("lost"));
  EXPECT_TRUE(HonestPercentile(99, Latencies(20'000), counts).value);
}

TEST(Result, ARunWithoutRepliesSaysSo) {
  RunCounts counts = Counts(100);
  counts.received = 0;
  counts.packets_core_changed.reset();
  const auto json = nlohmann::json::parse(ResultJson(counts, abi::Histogram(), {}));
  EXPECT_EQ(json["lost"], 100);
  for (const char* name : {"mean_us", "p50_us", "p999_us", "packets_core_changed"}) {
    EXPECT_TRUE(json[name].is_null()) << name;
    EXPECT_FALSE(std::string(json["why"][name]).empty()) << name;
  }
}

}  // namespace
}  // namespace sluice::apps
