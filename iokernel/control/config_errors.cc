// config_errors.cc - ConfigErrors: how an error reads, and in which order.
#include <algorithm>

#include "iokernel/control/config_draft.h"

namespace sluice {
namespace {

std::string Prefix(const Place& place) {
  std::string text = place.source;
  if (place.line > 0) text += ":" + std::to_string(place.line) + ":" + std::to_string(place.column);
  text += ": ";
  if (!place.what.empty()) text += place.what + ": ";
  return text;
}

}  // namespace

void ConfigErrors::Add(const Place& place, std::string_view got, std::string_view allowed, std::string_view meant) {
  std::string text;
  text.append("got ").append(got).append(", allowed: ").append(allowed);
  if (!meant.empty()) text.append(", did you mean ").append(meant).append("?");
  AddText(place, text);
}

void ConfigErrors::AddText(const Place& place, std::string_view text) {
  errors_.push_back({place.line == 0 ? UINT32_MAX : place.line, place.column, Prefix(place).append(text)});
}

std::vector<std::string> ConfigErrors::Sorted() const {
  std::vector<Entry> sorted = errors_;
  std::stable_sort(sorted.begin(), sorted.end(), [](const Entry& a, const Entry& b) {
    return a.line != b.line ? a.line < b.line : a.column < b.column;
  });
  std::vector<std::string> texts;
  texts.reserve(sorted.size());
  for (Entry& entry : sorted) texts.push_back(std::move(entry.text));
  return texts;
}

}  // namespace sluice
