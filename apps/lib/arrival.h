// arrival.h - when an open-loop client sends: a schedule that does not look at the replies.
//
// Threads: one. The times depend on kind, rate and seed alone, so two runs with the same ones offer the same load.
#pragma once

#include <cstdint>
#include <random>

namespace sluice::apps {

enum class ArrivalKind : uint8_t { kPoisson, kUniform };

class ArrivalSchedule {
 public:
  ArrivalSchedule(ArrivalKind kind, double rate_per_second, uint64_t seed)
      : kind_(kind), gap_ns_(1e9 / rate_per_second), random_(seed) {}

  // Nanoseconds after the start at which the next request is due; never decreases.
  [[nodiscard]] uint64_t NextNs() {
    if (kind_ == ArrivalKind::kPoisson) {
      due_ns_ += exponential_(random_) * gap_ns_;
    } else {
      due_ns_ = gap_ns_ * static_cast<double>(count_++);  // a product, so that rounding does not add up
    }
    return static_cast<uint64_t>(due_ns_);
  }

 private:
  ArrivalKind kind_;
  double gap_ns_;
  double due_ns_ = 0;
  uint64_t count_ = 0;
  std::mt19937_64 random_;
  std::exponential_distribution<double> exponential_;
};

}  // namespace sluice::apps
