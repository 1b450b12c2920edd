// shrink.h - makes a failing schedule small: leaves out pieces as long as it still fails.
#pragma once

#include <functional>
#include <vector>

namespace sluice::test {

// `fails` runs a schedule. Halves, then quarters, and so on down to single pieces; at most `tries` runs.
inline std::vector<bool> Shrink(std::vector<bool> pieces, const std::function<bool(const std::vector<bool>&)>& fails,
                                int tries = 3000) {
  std::vector<size_t> kept;
  for (size_t i = 0; i < pieces.size(); ++i) {
    if (pieces[i]) kept.push_back(i);
  }
  for (size_t chunk = kept.size() / 2; chunk > 0 && tries > 0;) {
    bool shrunk = false;
    for (size_t at = 0; at < kept.size() && tries > 0;) {
      std::vector<bool> without = pieces;
      const size_t end = std::min(at + chunk, kept.size());
      for (size_t i = at; i < end; ++i) without[kept[i]] = false;
      --tries;
      if (fails(without)) {
        pieces = std::move(without);
        kept.erase(kept.begin() + static_cast<std::ptrdiff_t>(at), kept.begin() + static_cast<std::ptrdiff_t>(end));
        shrunk = true;
      } else {
        at = end;
      }
    }
    if (!shrunk || chunk > 1) chunk /= 2;
  }
  return pieces;
}

}  // namespace sluice::test
