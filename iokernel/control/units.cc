// units.cc - see units.h.
#include "iokernel/control/units.h"

#include <algorithm>
#include <charconv>

namespace sluice {
namespace {

// Restricted Damerau-Levenshtein distance: insertions, deletions, changes and neighbours swapped.
size_t Distance(std::string_view a, std::string_view b) {
  std::vector<size_t> before(b.size() + 1), above(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) above[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before.swap(above);
    above.swap(row);
  }
  return above[b.size()];
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (c == '_' || c == ' ') c = '-';
  }
  return lower;
}

std::string FormatRange(uint16_t first, uint16_t last) {
  return first == last ? std::to_string(first) : std::to_string(first) + "-" + std::to_string(last);
}

}  // namespace

std::optional<uint64_t> ParseUnsigned(std::string_view text) {
  uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [next, error] = std::from_chars(text.data(), end, value);
  if (text.empty() || error != std::errc{} || next != end) return std::nullopt;
  return value;
}

std::optional<uint32_t> ParseIpv4(std::string_view text) {
  uint32_t address = 0;
  for (int part = 0; part < 4; ++part) {
    const size_t dot = text.find('.');
    if ((dot == std::string_view::npos) != (part == 3)) return std::nullopt;
    const std::string_view digits = text.substr(0, dot);
    const auto value = ParseUnsigned(digits);
    // "010" is octal to some and decimal to others: refused.
    if (!value || *value > 255 || digits.size() > 3 || (digits.size() > 1 && digits[0] == '0')) return std::nullopt;
    address = address << 8 | static_cast<uint32_t>(*value);
    text = part == 3 ? std::string_view{} : text.substr(dot + 1);
  }
  return address;
}

std::optional<Ipv4Net> ParseIpv4Net(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto address = ParseIpv4(text.substr(0, slash));
  const auto bits = ParseUnsigned(text.substr(slash + 1));
  if (!address || !bits || *bits > 32) return std::nullopt;
  return Ipv4Net{*address, static_cast<uint8_t>(*bits)};
}

std::string FormatIpv4(uint32_t address) {
  std::string text;
  for (int shift = 24; shift >= 0; shift -= 8) {
    text += std::to_string(address >> shift & 0xff);
    if (shift > 0) text += '.';
  }
  return text;
}

std::string FormatIpv4Net(const Ipv4Net& net) {
  return FormatIpv4(net.address) + "/" + std::to_string(net.prefix_bits);
}

std::optional<CpuItem> ParseCpuItem(std::string_view text) {
  CpuItem item;
  const size_t star = text.find('*');
  if (star != std::string_view::npos) {
    const auto slots = ParseUnsigned(text.substr(star + 1));
    if (!slots || *slots < 1 || *slots > kMaxCores) return std::nullopt;
    item.slots = static_cast<uint16_t>(*slots);
    text = text.substr(0, star);
  }
  const size_t dash = text.find('-');
  const auto first = ParseUnsigned(text.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : ParseUnsigned(text.substr(dash + 1));
  if (!first || !last || *first > *last || *last > UINT16_MAX) return std::nullopt;
  item.first = static_cast<uint16_t>(*first);
  item.last = static_cast<uint16_t>(*last);
  return item;
}

std::string FormatCpuList(std::span<const uint16_t> cpus) {
  std::string text;
  for (size_t i = 0; i < cpus.size();) {
    size_t end = i + 1;
    while (end < cpus.size() && cpus[end] == cpus[end - 1] + 1) ++end;
    if (!text.empty()) text += ", ";
    text += FormatRange(cpus[i], cpus[end - 1]);
    i = end;
  }
  return text;
}

std::vector<std::string> FormatCoreSlots(std::span<const uint16_t> cpus) {
  // First the slots of each CPU, then neighbouring CPUs with equally many slots.
  std::vector<CpuItem> items;
  for (size_t i = 0; i < cpus.size();) {
    size_t end = i;
    while (end < cpus.size() && cpus[end] == cpus[i]) ++end;
    const CpuItem item{cpus[i], cpus[i], static_cast<uint16_t>(end - i)};
    if (!items.empty() && items.back().slots == item.slots && items.back().last + 1 == item.first) {
      items.back().last = item.last;
    } else {
      items.push_back(item);
    }
    i = end;
  }
  std::vector<std::string> texts;
  texts.reserve(items.size());
  for (const CpuItem& item : items) {
    texts.push_back(FormatRange(item.first, item.last) + (item.slots > 1 ? "*" + std::to_string(item.slots) : ""));
  }
  return texts;
}

std::optional<uint64_t> ParseDurationUs(std::string_view text) {
  const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto value = ParseUnsigned(text.substr(0, digits));
  std::string_view unit = text.substr(digits);
  while (!unit.empty() && unit[0] == ' ') unit.remove_prefix(1);
  if (!value || *value > UINT32_MAX) return std::nullopt;
  if (unit == "us" || unit == "usec" || unit == "µs") return value;
  if (unit == "ms" || unit == "msec") return *value * 1000;
  if (unit == "s" || unit == "sec") return *value * 1'000'000;
  if ((unit == "ns" || unit == "nsec") && *value % 1000 == 0) return *value / 1000;
  return std::nullopt;
}

std::string Nearest(std::string_view text, std::span<const std::string> candidates) {
  const std::string wanted = Lower(text);
  if (wanted.empty() || wanted.size() > 64) return {};
  std::string best;
  size_t best_distance = SIZE_MAX;
  for (const std::string& candidate : candidates) {
    const std::string lower = Lower(candidate);
    size_t distance = Distance(wanted, lower);
    if (wanted.size() >= 2 && lower.starts_with(wanted)) distance = std::min<size_t>(distance, 1);
    if (distance < best_distance && distance <= std::max<size_t>(1, lower.size() / 3)) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

}  // namespace sluice
