// utilization.h - an app wants another core if its kthreads are busier than a range, and one less if they are idler.
//
// The busy fraction is what the running kthreads worked of the time they had cores, over windows of 100 us (or one
// interval, where that is longer): a shorter one would see single requests. A window begins anew with each grant, for
// the core just given has to show first. Source: McClure et al., NSDI'22. utilization:75%..95%; with one value there
// is no lower bound.
//
// A kthread publishes its busy time when it looks for work, so a uthread that runs longer than the window looks idle
// until it is done; its time is credited then, up to what can have passed since the last news. An app that lies costs
// or gains itself a core.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "iokernel/abi/check.h"
#include "policies/concepts.h"
#include "policies/parameters.h"

namespace sluice {

class UtilizationCongestion {
 public:
  static constexpr std::string_view kName = "utilization";
  static constexpr std::string_view kSummary = "another core if busier than a range, one less if idler";
  static constexpr std::string_view kUsage =
      "utilization, utilization:PERCENT or utilization:LOW..HIGH (75%..95%, the default; 95%)";
  static bool Accepts(std::string_view parameters) { return ParsePercents(parameters).has_value(); }

  explicit UtilizationCongestion(const CongestionOptions& options)
      : window_(std::max(options.interval, options.rate.FromUs(100))), last_(size_t{kMaxApps} * kMaxCores) {
    const auto range = ParsePercents(options.parameters.empty() ? "75%..95%" : options.parameters);
    SLUICE_CHECK(range.has_value(), "parameters that were not checked");
    high_percent_ = range->high;
    low_percent_ = range->low.value_or(0);
  }

  void Attach(AppId app, uint16_t kthreads) {
    SLUICE_CHECK(app < kMaxApps && kthreads <= kMaxCores, "an app outside the bounds of views.h");
    apps_[app] = {};
    std::fill_n(last_.begin() + size_t{app} * kMaxCores, kthreads, Seen{});
  }
  void Detach(AppId /*app*/) {}

  Congestion Poll(AppId app, std::span<const KthreadSignals> signals, Ticks now) {
    App& a = apps_[app];
    // 0 means "never": it is skipped when the count wraps.
    const uint32_t previous = a.poll;
    a.poll = previous + 1 == 0 ? 1 : previous + 1;
    const Ticks last_poll = a.polled_at;
    a.polled_at = now;
    for (const KthreadSignals& s : signals) {
      Seen& seen = last_[size_t{app} * kMaxCores + s.kthread];
      if (previous == 0 || seen.poll != previous) {
        seen = {s.busy, now, a.poll};
        continue;
      }
      a.running += now - last_poll;
      seen.poll = a.poll;
      if (s.busy == seen.busy) continue;
      a.busy += std::min(s.busy - seen.busy, now - seen.since);
      seen.busy = s.busy;
      seen.since = last_poll;
    }
    if (a.window_began == 0) a.window_began = now;
    if (now - a.window_began < window_) return Congestion::kKeep;
    const uint64_t busy = a.busy * 100;
    const uint64_t running = a.running;
    BeginWindow(a, now);
    if (busy > running * high_percent_) return Congestion::kAddCore;
    return busy < running * low_percent_ ? Congestion::kGiveUp : Congestion::kKeep;
  }
  void OnGrant(AppId app, Ticks now) { BeginWindow(apps_[app], now); }

 private:
  struct Seen {
    Ticks busy = 0;
    Ticks since = 0;    // it was published at some time after this
    uint32_t poll = 0;  // the poll that saw the kthread last; 0: none
  };
  struct App {
    uint32_t poll = 0;  // number of the latest
    Ticks polled_at = 0;
    Ticks window_began = 0;  // 0: not yet
    Ticks busy = 0;          // in this window, all kthreads together
    Ticks running = 0;       // the same: time they had cores
  };

  static void BeginWindow(App& app, Ticks now) {
    app.window_began = now;
    app.busy = 0;
    app.running = 0;
  }

  Ticks window_;
  uint64_t high_percent_;
  uint64_t low_percent_;  // 0: none
  std::array<App, kMaxApps> apps_;
  std::vector<Seen> last_;  // by AppId, KthreadId: all taken at the start, since Attach may not allocate
};

static_assert(CongestionPolicy<UtilizationCongestion>);

}  // namespace sluice
