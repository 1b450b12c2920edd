// statistics.h - what a run measures, and how sure of it one may be.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <vector>

#include "apps/simulator/engine/request.h"
#include "apps/simulator/engine/time.h"
#include "iokernel/abi/histogram.h"

namespace sluice::sim {

// The value that `percent` of the recorded ones do not exceed, interpolated within its bucket, so that it is not
// biased upward as Histogram::Percentile is.
[[nodiscard]] double PercentileNs(const abi::Histogram& histogram, double percent);

struct Interval {
  double mean = 0;
  double half_width = 0;
};
// 99 % confidence interval of the mean by batch means: the batches are long enough to be nearly independent.
[[nodiscard]] Interval BatchMeans99(const std::vector<double>& batch_means);

// Latencies of one app's requests. Those that arrive in the first part of a run warm it up and are not counted.
class Recorder {
 public:
  static constexpr uint32_t kBatches = 30;
  // Requests are numbered 0 .. requests-1, over all apps; those before `warm_up` are left out.
  Recorder(uint32_t requests, uint32_t warm_up);

  void Done(const Request& request, Time now) {
    const Time sojourn = now - request.arrival;
    if (request.number < warm_up_) return;
    const Time wait = sojourn - request.service;
    histogram_.Record(sojourn / kNs);
    waits_.Record(wait / kNs);
    sojourn_ += sojourn;
    Batch& batch = batches_[static_cast<uint64_t>(request.number - warm_up_) * kBatches / counted_];
    batch.wait += wait;
    batch.count++;
    if (request.service == 0) return;
    const double slowdown = static_cast<double>(sojourn) / static_cast<double>(request.service);
    slowdown_ += slowdown;
    Size& size = sizes_[SizeClass(request.service)];
    size.slowdown += slowdown;
    size.count++;
  }

  void Merge(const Recorder& other);

  [[nodiscard]] const abi::Histogram& histogram() const { return histogram_; }  // ns
  [[nodiscard]] double MeanUs() const;
  [[nodiscard]] Interval WaitUs() const;                                // sojourn less service
  [[nodiscard]] const abi::Histogram& waits() const { return waits_; }  // ns
  [[nodiscard]] double MeanSlowdown() const;
  // Only of the requests whose service time is of the same octave as this one.
  [[nodiscard]] double MeanSlowdown(Time service) const;

 private:
  struct Batch {
    unsigned __int128 wait = 0;
    uint64_t count = 0;
  };
  struct Size {
    double slowdown = 0;
    uint64_t count = 0;
  };
  static size_t SizeClass(Time service) { return static_cast<size_t>(std::bit_width(service)); }

  uint32_t warm_up_;
  uint32_t counted_;
  unsigned __int128 sojourn_ = 0;
  double slowdown_ = 0;
  std::array<Size, 65> sizes_;  // by octave of the service time
  std::vector<Batch> batches_;
  abi::Histogram histogram_, waits_;
};

// Latencies by the time of arrival, of all apps together.
class Series {
 public:
  static constexpr size_t kMostWindows = 2048;  // all that comes later is in the last

  explicit Series(Time window) : window_(window) {}
  void Done(const Request& request, Time now) {
    if (window_ == 0) return;
    const size_t at = std::min<size_t>(request.arrival / window_, kMostWindows - 1);
    if (at >= windows_.size()) windows_.resize(at + 1);
    windows_[at].Record((now - request.arrival) / kNs);
  }
  [[nodiscard]] const std::vector<abi::Histogram>& windows() const { return windows_; }  // ns

 private:
  Time window_;  // 0: none is kept
  std::vector<abi::Histogram> windows_;
};

}  // namespace sluice::sim
