// homes.cc - binding homes to cores, choosing stand-ins, and moving home without overtaking.
#include "policies/steering/homes.h"

namespace sluice {

Homes::Homes(uint16_t count)
    : routes_(count), homes_(count), flows_(count), load_(count), home_of_core_(kMaxCores, kAnyHome) {
  touched_.reserve(count);
}

// ---------------------------------------------------------------------------------------------------- a change

// Which homes have their kthread, and does a new core need a home?
uint32_t Homes::Learn(const AppView& view) {
  uint32_t rebinds = 0;
  change_++;
  changed_ = true;
  for (const KthreadId k : view.active) {
    const uint16_t home = home_of_core_[view.kthreads[k].core];
    if (home != kAnyHome) homes_[home].held = change_;
  }
  for (const KthreadId k : view.active) {
    const CoreId core = view.kthreads[k].core;
    if (home_of_core_[core] == kAnyHome) Bind(view, core, &rebinds);
    const uint16_t home = home_of_core_[core];
    if (home == kAnyHome) continue;
    homes_[home].held = change_;
    homes_[home].kthread = k;
  }
  return rebinds;
}

// Gives the core to a home that never had one, else to the one that has been away longest.
void Homes::Bind(const AppView& view, CoreId core, uint32_t* rebinds) {
  uint16_t chosen = kAnyHome;
  if (bound_ < homes_.size()) {
    chosen = bound_++;
  } else {
    for (uint16_t home = 0; home < homes_.size(); home++) {
      // A core that one of our kthreads still has, or is about to run on, is not lost.
      const CoreId old = homes_[home].core;
      if (!Away(home) || (old < view.on_core.size() && view.on_core[old] != kNoKthread)) continue;
      const bool longer = chosen == kAnyHome || change_ - homes_[home].held > change_ - homes_[chosen].held;
      if (longer) chosen = home;
    }
    if (chosen == kAnyHome) return;
    home_of_core_[homes_[chosen].core] = kAnyHome;
    ++*rebinds;
  }
  homes_[chosen].core = core;
  home_of_core_[core] = chosen;
}

// ----------------------------------------------------------------------------------------------------- a burst

bool Homes::BeginBurst(const AppView& view, Hints& hints) {
  if (change_ == 0) Learn(view);  // made while kthreads ran already
  standin_packets_ = 0;
  const bool begins = changed_;
  if (changed_) {
    changed_ = false;
    if (++epoch_ == 0) {  // wrapped: nothing may look valid
      for (Route& route : routes_) route.epoch = 0;
      epoch_ = 1;
    }
    hints.wanted.reset();
    least_loaded_ = LeastLoaded(view);
  }
  if (!touched_.empty()) NoteSent(view);
  return begins;
}

// The last burst has been sent by now, so rx_sent counts every packet that these homes had in it.
void Homes::NoteSent(const AppView& view) {
  for (const uint16_t home : touched_) {
    homes_[home].mark = view.kthreads[routes_[home].kthread].rx_sent;
    homes_[home].touched = false;
  }
  touched_.clear();
}

// The kthread for a packet of `home`, whose route is of an older epoch, or which waits to move.
KthreadId Homes::Resolve(const AppView& view, uint16_t home, Hints& hints) {
  const Home& h = homes_[home];
  const bool away = Away(home);
  if (away && h.core != kNoCore) hints.wanted.set(h.core);
  const KthreadId goal = away ? StandIn(view, home, least_loaded_) : h.kthread;
  Route& route = routes_[home];
  if (goal != route.kthread && MustStay(view, home)) {
    standin_packets_++;
    return route.kthread;
  }
  MoveTo(view, home, goal);
  route.epoch = epoch_;
  route.standin = away ? 1 : 0;
  standin_packets_ += route.standin;
  return goal;
}

// Who serves an away home: the one who does so now, unless that one left or another would still serve fewer flows
// with this home's on top.
KthreadId Homes::StandIn(const AppView& view, uint16_t home, KthreadId least_loaded) const {
  if (view.active.empty()) return view.landing;
  const KthreadId now = routes_[home].kthread;
  if (now == kNoKthread || !view.kthreads[now].steerable) return least_loaded;
  return load_[now] > load_[least_loaded] + flows_[home] ? least_loaded : now;
}

KthreadId Homes::LeastLoaded(const AppView& view) const {
  KthreadId least = kNoKthread;
  for (const KthreadId k : view.active) {
    if (least == kNoKthread || load_[k] < load_[least]) least = k;
  }
  return least;
}

// True if the home's packets must still go where they went: another kthread could overtake that one.
bool Homes::MustStay(const AppView& view, uint16_t home) {
  const KthreadId now = routes_[home].kthread;
  if (now == kNoKthread || !view.kthreads[now].steerable) return false;
  Home& h = homes_[home];
  if (!h.moving) {
    h.moving = true;
    h.mark = view.kthreads[now].rx_sent;  // the home's last packet was among these
  }
  if (Consumed(view.kthreads[now], h.mark)) return false;
  if (!h.touched) {
    h.touched = true;
    touched_.push_back(home);
  }
  return true;
}

void Homes::MoveTo(const AppView& view, uint16_t home, KthreadId kthread) {
  homes_[home].moving = false;
  KthreadId& now = routes_[home].kthread;
  if (now == kthread) return;
  if (now != kNoKthread) load_[now] -= flows_[home];
  if (kthread != kNoKthread) load_[kthread] += flows_[home];
  now = kthread;
  if (kthread == least_loaded_) least_loaded_ = LeastLoaded(view);
}

// ------------------------------------------------------------------------------------------------------- flows

uint16_t Homes::SmallestAt(KthreadId kthread) {
  uint16_t smallest = kAnyHome;
  for (uint16_t home = 0; home < homes_.size(); home++) {
    const bool there = routes_[home].epoch == epoch_ && routes_[home].kthread == kthread;
    // A home whose kthread is active: its next packet renews its route, and then it leads there, unless it must stay.
    const bool free_to_go = flows_[home] == 0 || routes_[home].kthread == kthread;
    const bool own = !Away(home) && homes_[home].kthread == kthread && free_to_go;
    const bool free = Away(home) && flows_[home] == 0;
    if (!there && !own && !free) continue;
    if (smallest == kAnyHome || flows_[home] < flows_[smallest]) smallest = home;
  }
  if (smallest == kAnyHome) return kAnyHome;
  routes_[smallest] = {epoch_, kthread, static_cast<uint16_t>(Away(smallest) ? 1 : 0)};
  homes_[smallest].moving = false;
  return smallest;
}

SteeringAnswer Homes::Explain(const AppView& view, uint16_t home) const {
  const Home& h = homes_[home];
  const Route& route = routes_[home];
  const bool away = Away(home);
  SteeringAnswer answer{.kthread = h.kthread, .home = home, .home_core = h.core, .reason = SteeringReason::kHome};
  if (away) {
    answer.kthread = StandIn(view, home, changed_ ? LeastLoaded(view) : least_loaded_);
    answer.reason = view.active.empty() ? SteeringReason::kLanding : SteeringReason::kStandIn;
  }
  // As MustStay: whoever served it keeps it until he has taken what he got.
  const KthreadId now = route.kthread;
  if (now == answer.kthread || now == kNoKthread || !view.kthreads[now].steerable) return answer;
  const bool noted = h.moving && !h.touched;
  const bool drained = Consumed(view.kthreads[now], noted ? h.mark : view.kthreads[now].rx_sent);
  if (route.epoch == epoch_ && !changed_) {
    answer.kthread = now;
  } else if (!drained) {
    answer.kthread = now;
    answer.reason = SteeringReason::kDraining;
  }
  return answer;
}

}  // namespace sluice
