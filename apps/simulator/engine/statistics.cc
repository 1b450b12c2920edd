#include "apps/simulator/engine/statistics.h"

#include <algorithm>
#include <cmath>

namespace sluice::sim {

double PercentileNs(const abi::Histogram& histogram, double percent) {
  using abi::Histogram;
  const auto count = static_cast<double>(histogram.Count());
  const double rank = count * percent / 100.0;
  double before = 0;
  for (size_t bucket = 0; bucket < Histogram::kBuckets; ++bucket) {
    const auto here = static_cast<double>(histogram.BucketCount(bucket));
    if (here == 0 || before + here < rank) {
      before += here;
      continue;
    }
    const auto first = static_cast<double>(Histogram::BucketFirst(bucket));
    const double width = static_cast<double>(Histogram::BucketLast(bucket)) + 1.0 - first;
    const double value = first + width * (rank - before) / here;
    return std::clamp(value, static_cast<double>(histogram.Min()), static_cast<double>(histogram.Max()));
  }
  return static_cast<double>(histogram.Max());
}

Interval BatchMeans99(const std::vector<double>& batch_means) {
  // Student's t, two-sided 99 %, 29 degrees of freedom.
  static_assert(Recorder::kBatches == 30);
  constexpr double kT = 2.7564;
  const auto n = static_cast<double>(batch_means.size());
  if (batch_means.size() < 2) return {batch_means.empty() ? 0 : batch_means[0], 0};
  double sum = 0;
  for (const double mean : batch_means) sum += mean;
  const double mean = sum / n;
  double squares = 0;
  for (const double batch : batch_means) squares += (batch - mean) * (batch - mean);
  return {mean, kT * std::sqrt(squares / (n - 1) / n)};
}

Recorder::Recorder(uint32_t requests, uint32_t warm_up)
    : warm_up_(warm_up), counted_(requests - warm_up), batches_(kBatches) {}

void Recorder::Merge(const Recorder& other) {
  sojourn_ += other.sojourn_;
  slowdown_ += other.slowdown_;
  histogram_.Merge(other.histogram_);
  waits_.Merge(other.waits_);
  for (size_t i = 0; i < sizes_.size(); ++i) {
    sizes_[i].slowdown += other.sizes_[i].slowdown;
    sizes_[i].count += other.sizes_[i].count;
  }
  for (size_t i = 0; i < batches_.size(); ++i) {
    batches_[i].wait += other.batches_[i].wait;
    batches_[i].count += other.batches_[i].count;
  }
}

double Recorder::MeanUs() const {
  const uint64_t count = histogram_.Count();
  return count == 0 ? 0 : static_cast<double>(sojourn_) / static_cast<double>(count) / static_cast<double>(kUs);
}

double Recorder::MeanSlowdown() const {
  const uint64_t count = histogram_.Count();
  return count == 0 ? 0 : slowdown_ / static_cast<double>(count);
}

double Recorder::MeanSlowdown(Time service) const {
  const Size& size = sizes_[SizeClass(service)];
  return size.count == 0 ? 0 : size.slowdown / static_cast<double>(size.count);
}

Interval Recorder::WaitUs() const {
  std::vector<double> means;
  unsigned __int128 wait = 0;
  uint64_t count = 0;
  for (const Batch& batch : batches_) {
    if (batch.count == 0) continue;
    means.push_back(static_cast<double>(batch.wait) / static_cast<double>(batch.count) / static_cast<double>(kUs));
    wait += batch.wait;
    count += batch.count;
  }
  if (count == 0) return {};
  return {static_cast<double>(wait) / static_cast<double>(count) / static_cast<double>(kUs),
          BatchMeans99(means).half_width};
}

}  // namespace sluice::sim
