// parameters.h - the parameters that an operator may write after a policy's name: delay:10us, utilization:75%..95%.
//
// One value, or a range LOW..HIGH with LOW < HIGH. A value is a whole number and a unit. Nothing else is accepted.
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>

namespace sluice {

// What comes before the first colon, and after it.
struct PolicyText {
  std::string_view name;
  std::string_view parameters;
};
constexpr PolicyText SplitPolicy(std::string_view text) {
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos) return {text, {}};
  return {text.substr(0, colon), text.substr(colon + 1)};
}

// low is empty where one value was written.
struct ParameterRange {
  std::optional<uint64_t> low;
  uint64_t high = 0;
};

namespace detail {

struct ParameterUnit {
  std::string_view name;
  uint64_t factor;
};

template <size_t N>
std::optional<uint64_t> ParseValue(std::string_view text, const ParameterUnit (&units)[N], uint64_t most) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  const std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  for (const ParameterUnit& known : units) {
    if (unit == known.name && number > 0 && number <= most / known.factor) return number * known.factor;
  }
  return std::nullopt;
}

template <size_t N>
std::optional<ParameterRange> ParseRange(std::string_view text, const ParameterUnit (&units)[N], uint64_t most) {
  const size_t dots = text.find("..");
  if (dots == std::string_view::npos) {
    const auto value = ParseValue(text, units, most);
    if (!value) return std::nullopt;
    return ParameterRange{std::nullopt, *value};
  }
  const auto low = ParseValue(text.substr(0, dots), units, most);
  const auto high = ParseValue(text.substr(dots + 2), units, most);
  if (!low || !high || *low >= *high) return std::nullopt;
  return ParameterRange{low, *high};
}

}  // namespace detail

// Nanoseconds, from 1ns to 1s: 500ns, 10us, 5us..20us, 1ms.
inline std::optional<ParameterRange> ParseTimes(std::string_view text) {
  static constexpr detail::ParameterUnit kUnits[] = {{"ns", 1}, {"us", 1000}, {"ms", 1'000'000}, {"s", 1'000'000'000}};
  return detail::ParseRange(text, kUnits, 1'000'000'000);
}

// Per cent, from 1% to 100%: 95%, 75%..95%.
inline std::optional<ParameterRange> ParsePercents(std::string_view text) {
  static constexpr detail::ParameterUnit kUnits[] = {{"%", 1}};
  return detail::ParseRange(text, kUnits, 100);
}

}  // namespace sluice
