// histogram.h - a log-linear histogram of nanoseconds: the one latency object of the project.
//
// Threads: one writer (Record, Merge, Subtract, Reset). Any thread may read or copy it meanwhile; a copy taken
// then may miss the values of the last moment, and is otherwise a histogram like any other.
//
// Precision: values below 256 ns are kept exactly. Above, a bucket spans less than 1/128 of its values, so
// Percentile() is never below the true value and less than 0.79 % above it. Min, max, count and sum are exact
// (the sum while it is below 2^64 ns, 584 years). Memory: 58 KiB, taken at construction and never again.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace sluice::abi {

class Histogram {
 public:
  Histogram() : buckets_(kBuckets) {}
  Histogram(const Histogram& other) : Histogram() { *this = other; }
  Histogram& operator=(const Histogram& other);

  void Record(uint64_t ns);
  void Merge(const Histogram& other);

  // Takes away what `earlier`, a copy of this histogram, held: what is left was recorded since. Min and max
  // are then known to their bucket only.
  void Subtract(const Histogram& earlier);
  void Reset();

  [[nodiscard]] uint64_t Count() const { return Load(count_); }
  [[nodiscard]] uint64_t Sum() const { return Load(sum_); }
  [[nodiscard]] double Mean() const;  // 0 when empty
  [[nodiscard]] uint64_t Min() const { return Count() == 0 ? 0 : Load(min_); }
  [[nodiscard]] uint64_t Max() const { return Load(max_); }  // 0 when empty

  // The smallest value that `percent` (0 to 100) of the recorded values do not exceed, rounded up to the end
  // of its bucket; 0 when empty.
  [[nodiscard]] uint64_t Percentile(double percent) const;

  // For those who write a histogram out: the buckets by number, and the values each holds.
  static constexpr size_t kSubBits = 7;
  static constexpr size_t kBuckets = (64 - kSubBits + 1) << kSubBits;
  [[nodiscard]] uint64_t BucketCount(size_t bucket) const { return Load(buckets_[bucket]); }
  static constexpr size_t BucketOf(uint64_t ns);
  static constexpr uint64_t BucketFirst(size_t bucket);
  static constexpr uint64_t BucketLast(size_t bucket);

 private:
  // One writer, so a relaxed load and store do for an increment, and readers see whole words.
  using Cell = std::atomic<uint64_t>;
  static uint64_t Load(const Cell& cell) { return cell.load(std::memory_order_relaxed); }
  static void Store(Cell& cell, uint64_t value) { cell.store(value, std::memory_order_relaxed); }
  static void Add(Cell& cell, uint64_t value) { Store(cell, Load(cell) + value); }

  Cell count_{0};
  Cell sum_{0};
  Cell min_{~uint64_t{0}};
  Cell max_{0};
  std::vector<Cell> buckets_;
};

// ---------------------------------------------------------------------------------------------------

constexpr size_t Histogram::BucketOf(uint64_t ns) {
  const auto top_bit = static_cast<size_t>(63 - std::countl_zero(ns | 1));
  const size_t shift = top_bit > kSubBits ? top_bit - kSubBits : 0;
  return (shift << kSubBits) + static_cast<size_t>(ns >> shift);
}

constexpr uint64_t Histogram::BucketFirst(size_t bucket) {
  if (bucket < (size_t{2} << kSubBits)) return bucket;
  const size_t shift = (bucket >> kSubBits) - 1;
  return (bucket - (shift << kSubBits)) << shift;
}

constexpr uint64_t Histogram::BucketLast(size_t bucket) {
  return bucket + 1 == kBuckets ? ~uint64_t{0} : BucketFirst(bucket + 1) - 1;
}

inline void Histogram::Record(uint64_t ns) {
  Add(buckets_[BucketOf(ns)], 1);
  Add(sum_, ns);
  if (ns < Load(min_)) Store(min_, ns);
  if (ns > Load(max_)) Store(max_, ns);
  Add(count_, 1);
}

inline Histogram& Histogram::operator=(const Histogram& other) {
  if (this == &other) return *this;
  // The count is taken from the buckets, so that a copy made while the writer is at work agrees with itself.
  uint64_t count = 0;
  for (size_t i = 0; i < kBuckets; ++i) {
    const uint64_t n = other.BucketCount(i);
    Store(buckets_[i], n);
    count += n;
  }
  Store(count_, count);
  Store(sum_, Load(other.sum_));
  Store(min_, Load(other.min_));
  Store(max_, Load(other.max_));
  return *this;
}

inline void Histogram::Merge(const Histogram& other) {
  for (size_t i = 0; i < kBuckets; ++i) {
    if (const uint64_t n = other.BucketCount(i); n != 0) Add(buckets_[i], n);
  }
  Add(count_, other.Count());
  Add(sum_, other.Sum());
  Store(min_, std::min(Load(min_), Load(other.min_)));
  Store(max_, std::max(Load(max_), Load(other.max_)));
}

inline void Histogram::Subtract(const Histogram& earlier) {
  size_t first = kBuckets;
  size_t last = 0;
  for (size_t i = 0; i < kBuckets; ++i) {
    const uint64_t left = BucketCount(i) - earlier.BucketCount(i);
    Store(buckets_[i], left);
    if (left == 0) continue;
    first = std::min(first, i);
    last = i;
  }
  Add(count_, -earlier.Count());
  Add(sum_, -earlier.Sum());
  if (first == kBuckets) {
    Store(min_, ~uint64_t{0});
    Store(max_, 0);
    return;
  }
  Store(min_, std::max(Load(min_), BucketFirst(first)));
  Store(max_, std::min(Load(max_), BucketLast(last)));
}

inline void Histogram::Reset() {
  for (Cell& bucket : buckets_) Store(bucket, 0);
  Store(count_, 0);
  Store(sum_, 0);
  Store(min_, ~uint64_t{0});
  Store(max_, 0);
}

inline double Histogram::Mean() const {
  const uint64_t count = Count();
  return count == 0 ? 0.0 : static_cast<double>(Sum()) / static_cast<double>(count);
}

inline uint64_t Histogram::Percentile(double percent) const {
  const uint64_t count = Count();
  if (count == 0) return 0;
  const double wanted = std::ceil(std::clamp(percent, 0.0, 100.0) / 100.0 * static_cast<double>(count));
  const uint64_t rank = std::clamp<uint64_t>(static_cast<uint64_t>(wanted), 1, count);
  uint64_t seen = 0;
  for (size_t i = 0; i < kBuckets; ++i) {
    seen += BucketCount(i);
    if (seen >= rank) return std::min(BucketLast(i), Max());
  }
  return Max();
}

}  // namespace sluice::abi
