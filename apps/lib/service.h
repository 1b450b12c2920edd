// service.h - how long a request takes: a distribution to draw from, and a loop that takes that long.
//
// Threads: a ServiceTime belongs to one thread; a Spinner is constant after Calibrate and shared freely.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

namespace sluice::apps {

class ServiceTime {
 public:
  ServiceTime() = default;  // const:0

  // "const:10us", "exp:10us", "bimodal:0.995:0.5us:500us" (share of the short ones, short, long).
  [[nodiscard]] static tl::expected<ServiceTime, std::string> Parse(std::string_view text);

  [[nodiscard]] uint32_t DrawNs(std::mt19937_64& random) const;
  [[nodiscard]] double MeanNs() const;

 private:
  enum class Kind : uint8_t { kConstant, kExponential, kBimodal };
  Kind kind_ = Kind::kConstant;
  double short_share_ = 1;
  double first_ns_ = 0;
  double second_ns_ = 0;
};

// Work of a given length: so many rounds of arithmetic, not "until the clock says so". A server that loses its
// core in the middle still owes the rest, as real work would.
class Spinner {
 public:
  // Measures the rounds per nanosecond: the best of some short tries, for a try that was interrupted is slow.
  [[nodiscard]] static Spinner Calibrate();
  explicit Spinner(double rounds_per_ns) : rounds_per_ns_(rounds_per_ns) {}

  void Spin(uint64_t ns) const { Rounds(static_cast<uint64_t>(static_cast<double>(ns) * rounds_per_ns_)); }
  [[nodiscard]] double rounds_per_ns() const { return rounds_per_ns_; }

 private:
  static void Rounds(uint64_t rounds);
  double rounds_per_ns_;
};

}  // namespace sluice::apps
