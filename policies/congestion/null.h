// null.h - every app keeps the cores it has. For tests.
#pragma once

#include "policies/concepts.h"

namespace sluice {

class NullCongestion {
 public:
  static constexpr std::string_view kName = "null";
  static constexpr std::string_view kSummary = "never congested";

  explicit NullCongestion(const CongestionOptions& /*options*/) {}

  void Attach(AppId /*app*/, uint16_t /*kthreads*/) {}
  void Detach(AppId /*app*/) {}
  Congestion Poll(AppId /*app*/, std::span<const KthreadSignals> /*signals*/, Ticks /*now*/) {
    return Congestion::kKeep;
  }
  void OnGrant(AppId /*app*/, Ticks /*now*/) {}
};

static_assert(CongestionPolicy<NullCongestion>);

}  // namespace sluice
