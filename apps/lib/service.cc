#include "apps/lib/service.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <vector>

#include "apps/lib/parse.h"

namespace sluice::apps {
namespace {

constexpr double kMaxServiceNs = std::numeric_limits<uint32_t>::max();  // as it travels in a request

std::vector<std::string_view> SplitAtColons(std::string_view text) {
  std::vector<std::string_view> parts;
  for (;;) {
    const size_t colon = text.find(':');
    parts.push_back(text.substr(0, colon));
    if (colon == std::string_view::npos) return parts;
    text.remove_prefix(colon + 1);
  }
}

}  // namespace

tl::expected<ServiceTime, std::string> ServiceTime::Parse(std::string_view text) {
  const std::vector<std::string_view> parts = SplitAtColons(text);
  ServiceTime result;
  size_t durations = 1;
  if (parts[0] == "const") {
    result.kind_ = Kind::kConstant;
  } else if (parts[0] == "exp") {
    result.kind_ = Kind::kExponential;
  } else if (parts[0] == "bimodal") {
    result.kind_ = Kind::kBimodal;
    durations = 2;
  }
  const size_t wanted = result.kind_ == Kind::kBimodal ? 4 : 2;
  if (parts.size() != wanted || (parts[0] != "const" && parts[0] != "exp" && parts[0] != "bimodal")) {
    return tl::unexpected("got '" + std::string(text) +
                          "', allowed are const:10us, exp:10us and bimodal:0.995:0.5us:500us");
  }
  if (result.kind_ == Kind::kBimodal) {
    const auto share = ParseNumber(parts[1]);
    if (!share || *share < 0 || *share > 1) {
      return tl::unexpected("the share of short requests: got '" + std::string(parts[1]) + "', allowed is 0 to 1");
    }
    result.short_share_ = *share;
  }
  for (size_t i = 0; i < durations; ++i) {
    const auto ns = ParseDurationNs(parts[wanted - durations + i]);
    if (!ns) return tl::unexpected(ns.error());
    if (static_cast<double>(*ns) > kMaxServiceNs) {
      return tl::unexpected("got '" + std::string(parts[wanted - durations + i]) + "', allowed is up to 4s");
    }
    (i == 0 ? result.first_ns_ : result.second_ns_) = static_cast<double>(*ns);
  }
  return result;
}

uint32_t ServiceTime::DrawNs(std::mt19937_64& random) const {
  switch (kind_) {
    case Kind::kConstant:
      break;
    case Kind::kExponential: {
      std::exponential_distribution<double> unit;
      return static_cast<uint32_t>(std::min(unit(random) * first_ns_, kMaxServiceNs));
    }
    case Kind::kBimodal: {
      std::uniform_real_distribution<double> unit;
      return static_cast<uint32_t>(unit(random) < short_share_ ? first_ns_ : second_ns_);
    }
  }
  return static_cast<uint32_t>(first_ns_);
}

double ServiceTime::MeanNs() const {
  return kind_ == Kind::kBimodal ? short_share_ * first_ns_ + (1 - short_share_) * second_ns_ : first_ns_;
}

// A chain of dependent multiplications: as long as its latency says, whatever the neighbour's load is.
void Spinner::Rounds(uint64_t rounds) {
  uint64_t value = rounds;
  for (uint64_t i = 0; i < rounds; ++i) {
    value = value * 6364136223846793005u + 1442695040888963407u;
    asm volatile("" : "+r"(value));
  }
}

Spinner Spinner::Calibrate() {
  using Clock = std::chrono::steady_clock;
  constexpr uint64_t kRounds = 200'000;
  constexpr int kTries = 20;
  double best_ns = std::numeric_limits<double>::max();
  for (int i = 0; i < kTries; ++i) {
    const Clock::time_point start = Clock::now();
    Rounds(kRounds);
    best_ns = std::min(best_ns, std::chrono::duration<double, std::nano>(Clock::now() - start).count());
  }
  return Spinner(static_cast<double>(kRounds) / best_ns);
}

}  // namespace sluice::apps
