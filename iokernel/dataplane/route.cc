#include "iokernel/dataplane/route.h"

#include <algorithm>

namespace sluice {

RouteTable::RouteTable(const LinkOptions& options) {
  // The link first: stable_sort keeps it before a route of the same length.
  if (options.address)
    entries_.push_back({options.address->address & options.address->mask(), options.address->mask(), 0});
  for (const RouteConfig& route : options.routes) {
    entries_.push_back({route.network.address & route.network.mask(), route.network.mask(), route.via});
  }
  std::stable_sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) { return a.mask > b.mask; });
}

}  // namespace sluice
