// distribution.h - service times and arrivals as users type them, and the numbers drawn from them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "apps/simulator/engine/random.h"
#include "apps/simulator/engine/time.h"

namespace sluice::sim {

// How long a request takes.
//   const:10us   exp:1us   bimodal:0.995:0.5us:500us   lognormal:10us:2 (mean, coefficient of variation)
//   mix:44:5.7us,4:6us,... (weight:length)   trace:FILE (a duration per line, in order, again and again)
class ServiceTime {
 public:
  ServiceTime() = default;  // const:0
  [[nodiscard]] static tl::expected<ServiceTime, std::string> Parse(std::string_view text);

  [[nodiscard]] Time Draw(Random& random);
  [[nodiscard]] double Mean() const { return mean_; }  // ps
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  enum class Kind : uint8_t { kConstant, kExponential, kLognormal, kMix, kTrace };
  tl::expected<void, std::string> ParseMix(std::string_view list);
  void FinishMix();

  std::string text_ = "const:0";
  Kind kind_ = Kind::kConstant;
  double mean_ = 0;
  double mu_ = 0, sigma_ = 0;       // of the logarithm
  std::vector<double> cumulative_;  // kMix: shares up to and with each length
  std::vector<Time> lengths_;       // kMix, kTrace
  size_t next_ = 0;                 // kTrace
};

// When requests arrive.
//   poisson, uniform           at the rate asked for
//   bursts:100k:5M:1s          Poisson, at the two rates (per second) in turn, each for so long
//   trace:FILE                 a gap per line, in order, again and again
class ArrivalProcess {
 public:
  ArrivalProcess() = default;  // poisson
  [[nodiscard]] static tl::expected<ArrivalProcess, std::string> Parse(std::string_view text);

  // Whether the rate is part of the text.
  [[nodiscard]] bool has_own_rate() const { return kind_ == Kind::kBursts || kind_ == Kind::kTrace; }
  [[nodiscard]] double rate_per_second() const { return rate_; }
  void SetRate(double per_second);

  // When the next one arrives; never decreases.
  [[nodiscard]] Time Next(Random& random);
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  enum class Kind : uint8_t { kPoisson, kUniform, kBursts, kTrace };

  std::string text_ = "poisson";
  Kind kind_ = Kind::kPoisson;
  double rate_ = 0;     // mean, per second
  double gap_ = 0;      // mean, ps
  double now_ = 0;      // ps; a double, so that what rounding takes from a gap is not lost
  uint64_t count_ = 0;  // kUniform: so far; kTrace: position
  double burst_gaps_[2] = {0, 0};
  double burst_length_ = 0;
  std::vector<Time> gaps_;
};

// "100k", "5M", "250000": per second.
[[nodiscard]] tl::expected<double, std::string> ParseRate(std::string_view text);
// "10us" as picoseconds.
[[nodiscard]] tl::expected<Time, std::string> ParseTime(std::string_view text);

}  // namespace sluice::sim
