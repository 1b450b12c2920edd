#include "apps/simulator/vary.h"

#include <algorithm>
#include <cctype>
#include <string_view>

namespace sluice::sim {
namespace {

// "--FLAG=VALUE" for each value; none if there is no flag, or an empty value.
Words Choices(const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) return {};
  std::string_view values = std::string_view(text).substr(equals + 1);
  const char mark = values.find(';') == std::string_view::npos ? ',' : ';';
  if (mark == ';' && values.back() == mark) values.remove_suffix(1);
  Words choices;
  for (size_t begin = 0; begin <= values.size();) {
    const size_t end = std::min(values.find(mark, begin), values.size());
    if (end == begin) return {};
    choices.push_back("--" + text.substr(0, equals + 1) + std::string(values.substr(begin, end - begin)));
    begin = end + 1;
  }
  return choices;
}

}  // namespace

tl::expected<std::vector<Words>, std::string> Combinations(const Words& base, const std::vector<std::string>& vary) {
  std::vector<Words> all{base};
  for (const std::string& one : vary) {
    const Words choices = Choices(one);
    if (choices.empty()) {
      return tl::unexpected("--vary: got '" + one +
                            "', allowed is FLAG=VALUE,VALUE,..., such as load=0.2,0.5; between values that have commas "
                            "';', and behind a single one");
    }
    std::vector<Words> more;
    for (const Words& words : all) {
      for (const std::string& choice : choices) {
        more.push_back(words);
        more.back().push_back(choice);
      }
    }
    all = std::move(more);
  }
  return all;
}

std::string ShellLine(const Words& words) {
  std::string line;
  for (const std::string& word : words) {
    const bool plain = !word.empty() && std::all_of(word.begin(), word.end(), [](unsigned char c) {
      return std::isalnum(c) != 0 || std::string_view("-_=:,./+").find(static_cast<char>(c)) != std::string_view::npos;
    });
    if (!line.empty()) line += ' ';
    if (plain) {
      line += word;
      continue;
    }
    line += '\'';
    for (const char c : word) {
      if (c == '\'') {
        line += "'\\''";
      } else {
        line += c;
      }
    }
    line += '\'';
  }
  return line;
}

}  // namespace sluice::sim
