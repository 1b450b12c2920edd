// priority_heap.h - apps in a heap by how long their oldest runnable uthread has waited: one look at the top tells
// whether anybody is congested.
//
// An app counts from its last grant: its time is the later of when its oldest waiting item came to wait and when it
// was last given a core, so that it has time to make use of that before it is called congested again. It is congested
// when its time is further back than the threshold. Source: Hermes (Priority). priority-heap:5us.
//
// Fed by events: OnOldest whenever the app's oldest waiting item has changed. Poll is the allocator's way to feed it
// from the signal lines. Check is the one look, whatever the number of apps and kthreads.
#pragma once

#include <algorithm>
#include <array>

#include "iokernel/abi/check.h"
#include "policies/concepts.h"
#include "policies/congestion/app_heap.h"
#include "policies/congestion/oldest.h"
#include "policies/parameters.h"

namespace sluice {

class PriorityHeap {
 public:
  static constexpr std::string_view kName = "priority-heap";
  static constexpr std::string_view kSummary =
      "a heap of apps by how long their oldest item waited since the last grant";
  static constexpr std::string_view kUsage = "priority-heap or priority-heap:TIME (5us, the default)";
  static bool Accepts(std::string_view parameters) {
    const auto times = ParseTimes(parameters);
    return times && !times->low;
  }

  explicit PriorityHeap(const CongestionOptions& options) {
    const auto times = ParseTimes(options.parameters.empty() ? "5us" : options.parameters);
    SLUICE_CHECK(times.has_value(), "parameters that were not checked");
    threshold_ = options.rate.FromNs(times->high);
  }

  void Attach(AppId app, uint16_t /*kthreads*/) { apps_[app] = {}; }
  void Detach(AppId app) { OnOldest(app, kNothingWaits); }

  // The app's oldest waiting item has waited since then; kNothingWaits: there is none.
  void OnOldest(AppId app, Ticks since) {
    if (apps_[app].since == since) return;
    apps_[app].since = since;
    Place(app);
  }
  void OnGrant(AppId app, Ticks now) {
    apps_[app].granted = now;
    if (apps_[app].since != kNothingWaits) Place(app);
  }
  // The app that is congested most; kNoApp: none is.
  [[nodiscard]] AppId Check(Ticks now) const {
    return heap_.empty() || Waited(heap_.top_time(), now) <= threshold_ ? kNoApp : heap_.top();
  }

  Congestion Poll(AppId app, std::span<const KthreadSignals> signals, Ticks now) {
    OnOldest(app, OldestOf(signals));
    return Waited(Time(app), now) > threshold_ ? Congestion::kAddCore : Congestion::kKeep;
  }

 private:
  struct App {
    Ticks since = kNothingWaits;
    Ticks granted = 0;
  };

  [[nodiscard]] Ticks Time(AppId app) const { return std::max(apps_[app].since, apps_[app].granted); }
  void Place(AppId app) {
    if (apps_[app].since == kNothingWaits) {
      heap_.Remove(app);
    } else {
      heap_.Set(app, Time(app));
    }
  }

  Ticks threshold_;
  std::array<App, kMaxApps> apps_;
  AppHeap heap_;
};

static_assert(CongestionPolicy<PriorityHeap>);

}  // namespace sluice
