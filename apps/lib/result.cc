#include "apps/lib/result.h"

#include <array>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace sluice::apps {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<std::pair<const char*, double>, 5> kPercentiles = {
    {{"p50_us", 50}, {"p90_us", 90}, {"p95_us", 95}, {"p99_us", 99}, {"p999_us", 99.9}}};
constexpr uint64_t kSamplesBeyond = 10;  // a percentile needs so many samples above it

std::string Percent(double share) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.3g %%", share * 100);
  return text.data();
}

double Share(uint64_t part, uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

// Nanoseconds to microseconds, to the nanosecond.
double Us(double ns) { return std::round(ns) / 1e3; }

template <class T>
Json OrNull(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

}  // namespace

Figure HonestPercentile(double percent, const abi::Histogram& latency_ns, const RunCounts& counts) {
  const double beyond = 1 - percent / 100;
  const auto wanted = static_cast<uint64_t>(std::llround(static_cast<double>(kSamplesBeyond) / beyond));
  if (latency_ns.Count() == 0) return {{}, counts.why_no_latency};
  if (latency_ns.Count() < wanted) {
    return {{}, std::to_string(latency_ns.Count()) + " samples, " + std::to_string(wanted) + " are needed"};
  }
  const uint64_t unsent = counts.planned - counts.sent;
  if (const double late = Share(counts.late + unsent, counts.planned); late > beyond) {
    return {{},
            "the client itself was late: " + Percent(late) + " of the requests left more than " +
                std::to_string(counts.late_limit_ns / 1000) + " us after they were due, or not at all"};
  }
  if (const double lost = Share(counts.sent - counts.received, counts.sent); lost > beyond) {
    return {{}, "it lies among the lost: " + Percent(lost) + " of the requests have no reply"};
  }
  return {Us(static_cast<double>(latency_ns.Percentile(percent))), {}};
}

std::string ResultJson(const RunCounts& counts, const abi::Histogram& latency_ns,
                       const std::map<std::string, std::string>& facts) {
  Json json;
  for (const auto& [name, value] : facts) json[name] = Json::parse(value);
  const auto per_second = [&](uint64_t n) {
    return counts.seconds > 0 ? Json(std::llround(static_cast<double>(n) / counts.seconds)) : Json(nullptr);
  };
  json["seconds"] = counts.seconds;
  json["offered_rps"] = per_second(counts.planned);
  json["achieved_rps"] = per_second(counts.received);
  json["sent"] = counts.sent;
  json["received"] = counts.received;
  json["lost"] = counts.sent - counts.received;
  json["unsent"] = counts.planned - counts.sent;
  json["late"] = counts.late;
  json["out_of_order"] = counts.out_of_order;
  json["duplicates"] = counts.duplicates;
  json["packets_core_changed"] = OrNull(counts.packets_core_changed);
  json["packets_stolen"] = OrNull(counts.packets_stolen);

  Json why = Json::object();
  if (!counts.packets_core_changed) why["packets_core_changed"] = "the server's replies name no kthreads";
  if (!counts.packets_stolen) why["packets_stolen"] = "the server's replies name no kthreads";
  if (latency_ns.Count() == 0) {
    json["mean_us"] = nullptr;
    why["mean_us"] = counts.why_no_latency;
  } else {
    json["mean_us"] = Us(latency_ns.Mean());
  }
  for (const auto& [name, percent] : kPercentiles) {
    const Figure figure = HonestPercentile(percent, latency_ns, counts);
    json[name] = OrNull(figure.value);
    if (!figure.value) why[name] = figure.why;
  }
  json["max_us"] = latency_ns.Count() == 0 ? Json(nullptr) : Json(Us(static_cast<double>(latency_ns.Max())));
  if (latency_ns.Count() == 0) why["max_us"] = counts.why_no_latency;
  json["samples"] = latency_ns.Count();
  json["why"] = why;
  return json.dump();
}

bool WriteText(const std::string& path, const std::string& text) {
  const bool standard = path == "-";
  std::FILE* file = standard ? stdout : std::fopen(path.c_str(), "w");
  if (file == nullptr) return false;
  bool good = std::fputs(text.c_str(), file) >= 0 && std::fputc('\n', file) != EOF && std::fflush(file) == 0;
  if (!standard) good = std::fclose(file) == 0 && good;
  return good;
}

}  // namespace sluice::apps
