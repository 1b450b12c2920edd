// delay.h - an app is congested if its oldest queued packet or uthread has waited longer than a threshold.
//
// With a lower threshold as well, a range: an app whose oldest item never waited as long as that, for as long as the
// upper threshold, could do with one core less. One core at a time: after each grant and each verdict the calm has to
// last that long again. Sources: Caladan (one threshold); McClure et al., NSDI'22 (a range).
//
// Times are stamped by the IOKernel for packets, by the app for uthreads: an app that lies costs or gains itself a
// core. delay:10us, delay:5us..20us.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "iokernel/abi/check.h"
#include "policies/concepts.h"
#include "policies/congestion/oldest.h"
#include "policies/parameters.h"

namespace sluice {

class DelayCongestion {
 public:
  static constexpr std::string_view kName = "delay";
  static constexpr std::string_view kSummary = "another core if a packet or uthread waited longer than a threshold";
  static constexpr std::string_view kUsage = "delay, delay:TIME or delay:LOW..HIGH (10us, the default; 5us..20us)";
  static bool Accepts(std::string_view parameters) { return ParseTimes(parameters).has_value(); }

  explicit DelayCongestion(const CongestionOptions& options) {
    const auto range = ParseTimes(options.parameters.empty() ? "10us" : options.parameters);
    SLUICE_CHECK(range.has_value(), "parameters that were not checked");
    high_ = std::max<Ticks>(options.rate.FromNs(range->high), 1);
    low_ = options.rate.FromNs(range->low.value_or(0));
  }

  void Attach(AppId app, uint16_t /*kthreads*/) { calm_since_[app] = kNotYet; }
  void Detach(AppId /*app*/) {}

  Congestion Poll(AppId app, std::span<const KthreadSignals> signals, Ticks now) {
    const Ticks waited = Waited(OldestOf(signals), now);
    if (waited < low_) {
      if (calm_since_[app] == kNotYet) calm_since_[app] = now;
      if (now < calm_since_[app] + high_) return Congestion::kKeep;
      calm_since_[app] = now;
      return Congestion::kGiveUp;
    }
    calm_since_[app] = kNotYet;
    return waited > high_ ? Congestion::kAddCore : Congestion::kKeep;
  }
  void OnGrant(AppId app, Ticks /*now*/) { calm_since_[app] = kNotYet; }

 private:
  static constexpr Ticks kNotYet = ~Ticks{0};

  Ticks high_;
  Ticks low_;  // 0: none
  std::array<Ticks, kMaxApps> calm_since_{};
};

static_assert(CongestionPolicy<DelayCongestion>);

}  // namespace sluice
