// histogram_test.cc - the histogram's error bound against exact order statistics, and its arithmetic.
#include "iokernel/abi/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <random>
#include <thread>
#include <vector>

namespace sluice::abi {
namespace {

// The smallest value that at least `percent` of the values do not exceed.
uint64_t ExactPercentile(std::vector<uint64_t> values, double percent) {
  std::sort(values.begin(), values.end());
  const double wanted = std::ceil(percent / 100.0 * static_cast<double>(values.size()));
  const size_t rank = std::clamp<size_t>(static_cast<size_t>(wanted), 1, values.size());
  return values[rank - 1];
}

// Values of every magnitude, as latencies are not uniform.
std::vector<uint64_t> WideValues(uint64_t seed, size_t count) {
  std::mt19937_64 random(seed);
  std::vector<uint64_t> values(count);
  for (uint64_t& v : values) v = random() >> (random() % 64);
  return values;
}

TEST(Histogram, EmptySaysZero) {
  const Histogram h;
  EXPECT_EQ(h.Count(), 0u);
  EXPECT_EQ(h.Min(), 0u);
  EXPECT_EQ(h.Max(), 0u);
  EXPECT_EQ(h.Mean(), 0.0);
  EXPECT_EQ(h.Percentile(50), 0u);
}

TEST(Histogram, BucketsTileTheWholeRange) {
  EXPECT_EQ(Histogram::BucketFirst(0), 0u);
  for (size_t i = 0; i < Histogram::kBuckets; ++i) {
    const uint64_t first = Histogram::BucketFirst(i);
    const uint64_t last = Histogram::BucketLast(i);
    ASSERT_LE(first, last);
    ASSERT_EQ(Histogram::BucketOf(first), i);
    ASSERT_EQ(Histogram::BucketOf(last), i);
    // The bound of the header: exact below 256, then less than 1/128 of the value.
    ASSERT_LE(last - first, first < 256 ? 0 : (first - 1) / 128) << first;
    if (i + 1 < Histogram::kBuckets) {
      ASSERT_EQ(Histogram::BucketFirst(i + 1), last + 1);
    }
  }
  EXPECT_EQ(Histogram::BucketLast(Histogram::kBuckets - 1), ~uint64_t{0});
}

TEST(Histogram, PercentilesAreWithinTheBound) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const std::vector<uint64_t> values = WideValues(seed, 1 + seed * 97);
    Histogram h;
    for (const uint64_t v : values) h.Record(v);
    for (const double p : {0.0, 0.1, 25.0, 50.0, 90.0, 99.0, 99.9, 100.0}) {
      const uint64_t exact = ExactPercentile(values, p);
      ASSERT_GE(h.Percentile(p), exact) << p;
      ASSERT_LE(static_cast<double>(h.Percentile(p) - exact), static_cast<double>(exact) / 128) << p;
    }
    ASSERT_EQ(h.Percentile(100), *std::max_element(values.begin(), values.end()));
  }
}

TEST(Histogram, CountSumMinMaxAreExact) {
  Histogram h;
  std::mt19937_64 random(5);
  uint64_t sum = 0, low = ~uint64_t{0}, high = 0;
  for (int i = 0; i < 10000; ++i) {
    const uint64_t v = random() % 1'000'000'007;
    h.Record(v);
    sum += v;
    low = std::min(low, v);
    high = std::max(high, v);
  }
  EXPECT_EQ(h.Count(), 10000u);
  EXPECT_EQ(h.Sum(), sum);
  EXPECT_DOUBLE_EQ(h.Mean(), static_cast<double>(sum) / 10000);
  EXPECT_EQ(h.Min(), low);
  EXPECT_EQ(h.Max(), high);
}

void ExpectSame(const Histogram& a, const Histogram& b) {
  EXPECT_EQ(a.Count(), b.Count());
  EXPECT_EQ(a.Sum(), b.Sum());
  for (size_t i = 0; i < Histogram::kBuckets; ++i) ASSERT_EQ(a.BucketCount(i), b.BucketCount(i)) << i;
}

TEST(Histogram, MergeIsRecordingBoth) {
  const std::vector<uint64_t> first = WideValues(7, 3000), second = WideValues(8, 500);
  Histogram a, b, both;
  for (const uint64_t v : first) a.Record(v), both.Record(v);
  for (const uint64_t v : second) b.Record(v), both.Record(v);
  a.Merge(b);
  ExpectSame(a, both);
  EXPECT_EQ(a.Min(), both.Min());
  EXPECT_EQ(a.Max(), both.Max());
}

TEST(Histogram, SubtractLeavesWhatCameSince) {
  Histogram running, since;
  for (const uint64_t v : WideValues(9, 2000)) running.Record(v);
  const Histogram snapshot = running;
  for (const uint64_t v : {1000u, 2000u, 3000u}) running.Record(v), since.Record(v);
  Histogram interval = running;
  interval.Subtract(snapshot);
  ExpectSame(interval, since);
  EXPECT_EQ(interval.Percentile(50), since.Percentile(50));
  EXPECT_LE(interval.Min(), 1000u);
  EXPECT_GE(interval.Max(), 3000u);
  EXPECT_LE(interval.Max(), 3024u);

  interval.Subtract(since);
  EXPECT_EQ(interval.Count(), 0u);
  EXPECT_EQ(interval.Percentile(99), 0u);
  interval.Record(7);
  EXPECT_EQ(interval.Min(), 7u);
  EXPECT_EQ(interval.Max(), 7u);
}

TEST(Histogram, ResetForgets) {
  Histogram h;
  h.Record(123456);
  h.Reset();
  ExpectSame(h, Histogram());
  EXPECT_EQ(h.Max(), 0u);
  h.Record(5);
  EXPECT_EQ(h.Min(), 5u);
}

TEST(Histogram, ExtremesFit) {
  Histogram h;
  h.Record(0);
  h.Record(~uint64_t{0});
  EXPECT_EQ(h.Min(), 0u);
  EXPECT_EQ(h.Max(), ~uint64_t{0});
  EXPECT_EQ(h.Percentile(50), 0u);
  EXPECT_EQ(h.Percentile(51), ~uint64_t{0});
}

// A copy taken while the writer is at work agrees with itself. TSan watches this one.
TEST(Histogram, CanBeCopiedWhileItIsWritten) {
  Histogram h;
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    for (uint64_t v = 1; !stop.load(std::memory_order_relaxed); ++v) h.Record(v & 0xffff);
  });
  for (int i = 0; i < 20; ++i) {
    const auto copy = std::make_unique<const Histogram>(h);
    uint64_t total = 0;
    for (size_t b = 0; b < Histogram::kBuckets; ++b) total += copy->BucketCount(b);
    EXPECT_EQ(copy->Count(), total);
    EXPECT_LE(copy->Percentile(99), 0xffffu);
  }
  stop.store(true, std::memory_order_relaxed);
  writer.join();
}

}  // namespace
}  // namespace sluice::abi
