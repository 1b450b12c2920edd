#include "apps/simulator/engine/distribution.h"

#include <algorithm>
#include <cmath>
#include <fstream>

#include "apps/lib/parse.h"

namespace sluice::sim {
namespace {

// The next field of a text whose fields are separated by `mark`.
std::string_view Field(std::string_view* rest, char mark) {
  const size_t end = rest->find(mark);
  const std::string_view field = rest->substr(0, end);
  *rest = end == std::string_view::npos ? std::string_view() : rest->substr(end + 1);
  return field;
}

std::string Quoted(std::string_view text) { return '"' + std::string(text) + '"'; }

tl::expected<std::vector<Time>, std::string> ReadTrace(std::string_view path) {
  std::ifstream file{std::string(path)};
  if (!file) return tl::unexpected("trace " + Quoted(path) + " cannot be read");
  std::vector<Time> times;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    const auto time = ParseTime(line);
    if (!time) return tl::unexpected("trace " + Quoted(path) + ": " + time.error());
    times.push_back(*time);
  }
  if (times.empty()) return tl::unexpected("trace " + Quoted(path) + " has no line");
  return times;
}

double MeanOf(const std::vector<Time>& times) {
  double sum = 0;
  for (const Time time : times) sum += static_cast<double>(time);
  return sum / static_cast<double>(times.size());
}

Time Rounded(double ps) { return static_cast<Time>(std::llround(ps)); }

}  // namespace

tl::expected<Time, std::string> ParseTime(std::string_view text) {
  return apps::ParseDurationNs(text).map([](uint64_t ns) { return ns * kNs; });
}

tl::expected<double, std::string> ParseRate(std::string_view text) {
  double factor = 1;
  if (!text.empty() && (text.back() == 'k' || text.back() == 'M')) {
    factor = text.back() == 'k' ? 1e3 : 1e6;
    text.remove_suffix(1);
  }
  return apps::ParseNumber(text).map([&](double number) { return number * factor; });
}

tl::expected<ServiceTime, std::string> ServiceTime::Parse(std::string_view text) {
  ServiceTime made;
  made.text_ = text;
  std::string_view rest = text;
  const std::string_view kind = Field(&rest, ':');
  if (kind == "trace") {
    auto lengths = ReadTrace(rest);
    if (!lengths) return tl::unexpected(lengths.error());
    made.kind_ = Kind::kTrace;
    made.lengths_ = std::move(*lengths);
    made.mean_ = MeanOf(made.lengths_);
    return made;
  }
  if (kind == "mix") {
    if (auto parsed = made.ParseMix(rest); !parsed) return tl::unexpected(parsed.error());
    return made;
  }
  if (kind == "bimodal") {
    const auto share = apps::ParseNumber(Field(&rest, ':'));
    const auto first = ParseTime(Field(&rest, ':'));
    const auto second = ParseTime(rest);
    if (!share || !first || !second || *share < 0 || *share > 1) {
      return tl::unexpected("service " + Quoted(text) +
                            " is not bimodal:SHARE:SHORT:LONG, as bimodal:0.995:0.5us:500us");
    }
    made.kind_ = Kind::kMix;
    made.cumulative_ = {*share, 1.0};
    made.lengths_ = {*first, *second};
    made.FinishMix();
    return made;
  }
  if (kind != "const" && kind != "exp" && kind != "lognormal") {
    return tl::unexpected("there is no service distribution " + Quoted(kind) +
                          ", only const:TIME, exp:TIME, bimodal:SHARE:SHORT:LONG, lognormal:MEAN:CV, "
                          "mix:WEIGHT:TIME,..., trace:FILE");
  }
  const auto mean = ParseTime(Field(&rest, ':'));
  if (!mean) return tl::unexpected("service " + Quoted(text) + ": " + mean.error());
  made.mean_ = static_cast<double>(*mean);
  made.kind_ = kind == "const" ? Kind::kConstant : Kind::kExponential;
  if (kind == "lognormal") {
    const auto cv = apps::ParseNumber(rest);
    if (!cv || *cv <= 0 || *cv > 1000 || *mean == 0) {
      return tl::unexpected("service " + Quoted(text) +
                            " is not lognormal:MEAN:CV with CV above 0, as lognormal:10us:2");
    }
    made.kind_ = Kind::kLognormal;
    const double variance = Log(1.0 + *cv * *cv);
    made.sigma_ = std::sqrt(variance);
    made.mu_ = Log(made.mean_) - variance / 2;
  }
  return made;
}

tl::expected<void, std::string> ServiceTime::ParseMix(std::string_view list) {
  kind_ = Kind::kMix;
  double sum = 0;
  while (!list.empty()) {
    std::string_view item = Field(&list, ',');
    const auto weight = apps::ParseNumber(Field(&item, ':'));
    const auto length = ParseTime(item);
    if (!weight || !length || *weight <= 0) {
      return tl::unexpected("service " + Quoted(text_) + " is not mix:WEIGHT:TIME,WEIGHT:TIME,...");
    }
    sum += *weight;
    cumulative_.push_back(sum);
    lengths_.push_back(*length);
  }
  if (lengths_.empty()) return tl::unexpected("service " + Quoted(text_) + " has no item");
  for (double& share : cumulative_) share /= sum;
  FinishMix();
  return {};
}

void ServiceTime::FinishMix() {
  double before = 0;
  for (size_t i = 0; i < lengths_.size(); ++i) {
    mean_ += (cumulative_[i] - before) * static_cast<double>(lengths_[i]);
    before = cumulative_[i];
  }
}

Time ServiceTime::Draw(Random& random) {
  switch (kind_) {
    case Kind::kConstant:
      return static_cast<Time>(mean_);
    case Kind::kExponential:
      return Rounded(mean_ * random.Exponential());
    case Kind::kLognormal:
      return Rounded(Exp(mu_ + sigma_ * random.Normal()));
    case Kind::kMix: {
      const double u = random.Unit();
      size_t i = 0;
      while (i + 1 < lengths_.size() && u > cumulative_[i]) ++i;
      return lengths_[i];
    }
    case Kind::kTrace:
      break;
  }
  if (next_ == lengths_.size()) next_ = 0;
  return lengths_[next_++];
}

tl::expected<ArrivalProcess, std::string> ArrivalProcess::Parse(std::string_view text) {
  ArrivalProcess made;
  made.text_ = text;
  std::string_view rest = text;
  const std::string_view kind = Field(&rest, ':');
  if (kind == "poisson" || kind == "uniform") {
    made.kind_ = kind == "poisson" ? Kind::kPoisson : Kind::kUniform;
    return made;
  }
  if (kind == "bursts") {
    const auto low = ParseRate(Field(&rest, ':'));
    const auto high = ParseRate(Field(&rest, ':'));
    const auto length = ParseTime(rest);
    if (!low || !high || !length || *low < 0 || *high <= 0 || *length == 0) {
      return tl::unexpected("arrivals " + Quoted(text) + " is not bursts:RATE:RATE:TIME, as bursts:100k:5M:1s");
    }
    made.kind_ = Kind::kBursts;
    made.rate_ = (*low + *high) / 2;
    const auto second = static_cast<double>(kSecond);
    made.burst_gaps_[0] = *low == 0 ? 0 : second / *low;
    made.burst_gaps_[1] = second / *high;
    made.burst_length_ = static_cast<double>(*length);
    return made;
  }
  if (kind == "trace") {
    auto gaps = ReadTrace(rest);
    if (!gaps) return tl::unexpected(gaps.error());
    made.kind_ = Kind::kTrace;
    made.gaps_ = std::move(*gaps);
    const double mean = MeanOf(made.gaps_);
    if (mean == 0) return tl::unexpected("arrivals " + Quoted(text) + ": no gap is longer than 0");
    made.rate_ = static_cast<double>(kSecond) / mean;
    return made;
  }
  return tl::unexpected("there is no arrival process " + Quoted(kind) +
                        ", only poisson, uniform, bursts:RATE:RATE:TIME, trace:FILE");
}

void ArrivalProcess::SetRate(double per_second) {
  rate_ = per_second;
  gap_ = static_cast<double>(kSecond) / per_second;
}

Time ArrivalProcess::Next(Random& random) {
  switch (kind_) {
    case Kind::kPoisson:
      now_ += gap_ * random.Exponential();
      break;
    case Kind::kUniform:
      now_ = gap_ * static_cast<double>(++count_);
      break;
    case Kind::kTrace:
      now_ += static_cast<double>(gaps_[count_++ % gaps_.size()]);
      break;
    case Kind::kBursts:
      // The process has no memory: where the rate changes, it begins anew.
      for (;;) {
        const double phase = std::floor(now_ / burst_length_);
        const double end = (phase + 1) * burst_length_;
        const double gap = burst_gaps_[static_cast<uint64_t>(phase) % 2];
        const double next = gap == 0 ? end : now_ + gap * random.Exponential();
        now_ = std::min(next, end);
        if (next < end) break;
      }
      break;
  }
  return Rounded(now_);
}

}  // namespace sluice::sim
