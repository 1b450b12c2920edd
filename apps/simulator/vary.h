// vary.h - the jobs of a sweep as words of a command line.
#pragma once

#include <string>
#include <tl/expected.hpp>
#include <vector>

namespace sluice::sim {

using Words = std::vector<std::string>;

// All combinations of the values in `vary`, each behind `base`; the last of `vary` runs fastest. One of them is
// FLAG=VALUE,VALUE,... or, for values that have commas, FLAG=VALUE;VALUE;... (a single one ends with ';').
// Error: a sentence.
[[nodiscard]] tl::expected<std::vector<Words>, std::string> Combinations(const Words& base,
                                                                         const std::vector<std::string>& vary);

// A command line that a shell takes apart into the same words.
[[nodiscard]] std::string ShellLine(const Words& words);

}  // namespace sluice::sim
