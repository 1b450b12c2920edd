// homes.h - the homes of one app's flows: which core each has, and which kthread gets its packets now.
//
// Numbers of rules are those of flow_affinity.h. A home's *route* is where its packets go; it is valid for one
// epoch, and an epoch ends whenever the active kthreads change. So the first packet of each home after a change
// takes the slow path (Resolve), the others pay for one compare.
//
// Takes its memory when it is made. One thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "policies/steering/flow.h"
#include "policies/views.h"

namespace sluice {

// True once a kthread has consumed everything up to `mark`, modulo 2^32.
inline bool Consumed(const KthreadView& kthread, uint32_t mark) {
  return static_cast<int32_t>(kthread.rx_consumed - mark) >= 0;
}

class Homes {
 public:
  explicit Homes(uint16_t count);

  // The active kthreads, or their cores, have changed: rule 1. Returns how many homes moved to another core.
  uint32_t Learn(const AppView& view);

  // Before the packets of a burst. True: an epoch began, routes may lead elsewhere than before.
  bool BeginBurst(const AppView& view, Hints& hints);
  // The kthread for a packet of `home`: rules 2, 3, 4 and 7.
  KthreadId Target(const AppView& view, uint16_t home, Hints& hints) {
    const Route route = routes_[home];
    if (route.epoch != epoch_) [[unlikely]]
      return Resolve(view, home, hints);
    standin_packets_ += route.standin;
    return route.kthread;
  }
  // Packets since BeginBurst that went to another kthread than their home's.
  [[nodiscard]] uint64_t standin_packets() const { return standin_packets_; }

  // A flow came to live there, or went.
  void AddFlow(uint16_t home) { Count(home, 1); }
  void RemoveFlow(uint16_t home) { Count(home, ~uint32_t{0}); }
  // The home with the fewest flows: rule 5.
  [[nodiscard]] uint16_t Smallest() const {
    return static_cast<uint16_t>(std::min_element(flows_.begin(), flows_.end()) - flows_.begin());
  }
  // The active kthreads have changed since the last burst.
  [[nodiscard]] bool changed() const { return changed_; }
  // Of the homes whose packets go to `kthread`, or, having neither flows nor a core, may as well, the one with the
  // fewest flows; its packets go to `kthread` from now on. kAnyHome: there is none. Not while changed().
  uint16_t SmallestAt(KthreadId kthread);

  // Where a packet of `home` would go now, and why; changes nothing.
  [[nodiscard]] SteeringAnswer Explain(const AppView& view, uint16_t home) const;

  [[nodiscard]] uint16_t count() const { return static_cast<uint16_t>(homes_.size()); }
  [[nodiscard]] CoreId core(uint16_t home) const { return homes_[home].core; }
  [[nodiscard]] uint32_t flows(uint16_t home) const { return flows_[home]; }

 private:
  struct Route {
    uint32_t epoch = 0;  // valid while it equals epoch_; 0: never
    KthreadId kthread = kNoKthread;
    uint16_t standin = 0;  // 1: kthread stands in for the home's
  };

  struct Home {
    CoreId core = kNoCore;
    KthreadId kthread = kNoKthread;  // the active kthread on that core, if held == change_
    uint32_t held = 0;               // the last change at which the home's kthread was active
    uint32_t mark = 0;               // moving: what the present kthread must have consumed before the home moves
    bool moving = false;             // waits for that
    bool touched = false;            // moving, and had packets in the burst whose rx_sent is not known yet
  };

  void Bind(const AppView& view, CoreId core, uint32_t* rebinds);
  KthreadId Resolve(const AppView& view, uint16_t home, Hints& hints);
  [[nodiscard]] bool Away(uint16_t home) const { return change_ == 0 || homes_[home].held != change_; }
  [[nodiscard]] KthreadId StandIn(const AppView& view, uint16_t home, KthreadId least_loaded) const;
  [[nodiscard]] KthreadId LeastLoaded(const AppView& view) const;
  bool MustStay(const AppView& view, uint16_t home);
  void MoveTo(const AppView& view, uint16_t home, KthreadId kthread);
  void NoteSent(const AppView& view);
  void Count(uint16_t home, uint32_t change) {
    flows_[home] += change;
    if (routes_[home].kthread != kNoKthread) load_[routes_[home].kthread] += change;
  }

  std::vector<Route> routes_;           // by home
  std::vector<Home> homes_;             // by home
  std::vector<uint32_t> flows_;         // by home; apart, so that the least is found quickly
  std::vector<uint32_t> load_;          // by kthread: flows of the homes whose route leads there
  std::vector<uint16_t> home_of_core_;  // by CoreId
  std::vector<uint16_t> touched_;       // homes with Home::touched
  uint16_t bound_ = 0;                  // homes 0 .. bound_-1 have a core
  uint32_t change_ = 0;                 // number of the latest Learn; 0: none yet
  uint32_t epoch_ = 0;
  bool changed_ = true;  // the active kthreads changed since the last burst
  KthreadId least_loaded_ = kNoKthread;
  uint64_t standin_packets_ = 0;
};

}  // namespace sluice
