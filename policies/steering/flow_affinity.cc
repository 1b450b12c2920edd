// flow_affinity.cc - the burst path, homes and stand-ins, and forgetting.
//
// Per packet the burst path reads the flow's entry (two bytes, at its position in the map) and its home's route
// (eight bytes). A route is valid for one epoch; an epoch ends whenever the active kthreads change. So the first
// packet of each home after a change takes the slow path (Resolve), the others pay for nothing.
#include "policies/steering/flow_affinity.h"

#include <algorithm>
#include <array>
#include <bit>
#include <vector>

#include "iokernel/abi/check.h"
#include "policies/steering/flow_map.h"

namespace sluice {
namespace {

// A position's entry: the home, and what is known of the flow. Two bytes, because an app may have more than 256
// kthreads.
constexpr uint16_t kHomeMask = FlowAffinity::kMaxHomes - 1;
constexpr uint16_t kTaken = 0x8000;       // a flow is here
constexpr uint16_t kReferenced = 0x4000;  // it had a packet since the hand was here
constexpr uint16_t kInstalled = 0x2000;   // from outside: stays

constexpr uint32_t kEntriesPerUnit = 8;     // entries the hand looks at for one unit of Idle's budget
constexpr uint32_t kEntriesPerBurst = 256;  // and at most in one burst that finds the table full

// No fetch_add: the loop is the only writer.
void Add(std::atomic<uint64_t>& counter, uint64_t n) {
  counter.store(counter.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
}

// True once a kthread has consumed everything up to `mark`, modulo 2^32.
bool Consumed(const KthreadView& kthread, uint32_t mark) {
  return static_cast<int32_t>(kthread.rx_consumed - mark) >= 0;
}

}  // namespace

struct FlowAffinity::State {
  // Where a home's packets go.
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

  // What stops the hand.
  enum class Round : uint8_t { kRunning, kMark, kDrain };

  State(FlowMap&& made, const SteeringOptions& options)
      : map(std::move(made)),
        capacity(options.flows),
        entries(map.positions()),
        tuples(std::make_unique_for_overwrite<FiveTuple[]>(map.positions())),
        routes(options.max_kthreads),
        homes(options.max_kthreads),
        home_flows(options.max_kthreads),
        load(options.max_kthreads),
        round_mark(options.max_kthreads),
        home_of_core(kMaxCores, kAnyHome) {
    touched.reserve(homes.size());
  }

  FlowMap map;
  uint32_t capacity;
  uint32_t flows = 0;
  std::vector<uint16_t> entries;  // by position
  // By position, of installed flows. Not initialised, so its pages cost nothing until flows are installed.
  std::unique_ptr<FiveTuple[]> tuples;

  std::vector<Route> routes;           // by home
  std::vector<Home> homes;             // by home
  std::vector<uint32_t> home_flows;    // by home; apart, so that the least is found quickly
  std::vector<uint32_t> load;          // by kthread: flows of the homes whose route leads there
  std::vector<uint32_t> round_mark;    // by kthread: rx_sent at the end of the hand's last round
  std::vector<uint16_t> home_of_core;  // by CoreId
  std::vector<uint16_t> touched;       // homes with Home::touched
  uint16_t bound = 0;                  // homes 0 .. bound-1 have a core

  uint32_t change = 0;  // number of the latest OnActiveChange
  uint32_t epoch = 0;
  bool changed = true;  // the active kthreads changed since the last burst
  KthreadId least_loaded = kNoKthread;

  uint32_t hand = 0;     // the next entry it looks at
  uint32_t deficit = 0;  // flows to forget
  uint16_t round_next = 0;
  Round round = Round::kRunning;

  Counters counters;
  uint64_t standin_packets = 0;  // of this burst

  // ---- a burst
  void Steer(const AppView& view, std::span<const uint32_t> hash, std::span<KthreadId> out, Hints& hints);
  KthreadId Target(const AppView& view, uint16_t home, Hints& hints);
  KthreadId Miss(const AppView& view, uint32_t key, Hints& hints, bool* no_room);
  void StartEpoch(const AppView& view, Hints& hints);
  void NoteSent(const AppView& view);
  void NoteDrained(const AppView& view);

  // ---- homes
  void Learn(const AppView& view);
  void Bind(const AppView& view, CoreId core);
  KthreadId Resolve(const AppView& view, uint16_t home, Hints& hints);
  KthreadId StandIn(const AppView& view, uint16_t home) const;
  KthreadId LeastLoaded(const AppView& view) const;
  bool MustStay(const AppView& view, uint16_t home);
  void MoveTo(const AppView& view, uint16_t home, KthreadId kthread);

  // ---- flows
  void Take(int32_t position, uint16_t home, uint16_t marks);
  void Forget(uint32_t position);
  void Sweep(uint32_t entries_to_see, uint32_t flows_to_forget);
  [[nodiscard]] uint16_t SmallestHome() const {
    return static_cast<uint16_t>(std::min_element(home_flows.begin(), home_flows.end()) - home_flows.begin());
  }
};

// ---------------------------------------------------------------------------------------------------- a burst

void FlowAffinity::State::Steer(const AppView& view, std::span<const uint32_t> hash, std::span<KthreadId> out,
                                Hints& hints) {
  if (changed) StartEpoch(view, hints);
  if (!touched.empty()) NoteSent(view);
  if (round != Round::kRunning) NoteDrained(view);

  standin_packets = 0;
  uint64_t hits = 0;
  // Once a new flow found no room, none gets in for the rest of the burst: packets of one flow must agree.
  bool no_room = false;
  for (size_t start = 0; start < hash.size(); start += FlowMap::kBurst) {
    const auto keys = hash.subspan(start, std::min(FlowMap::kBurst, hash.size() - start));
    const auto to = out.subspan(start, keys.size());
    std::array<int32_t, FlowMap::kBurst> position;
    map.FindBurst(keys, position.data());
    // With more flows than the cache holds, the entries of a burst come in together.
    for (size_t i = 0; i < keys.size(); i++) __builtin_prefetch(&entries[std::max(position[i], 0)]);
    // Hits first: what is found here gets its reference bit before a miss may forget somebody.
    uint32_t missed = 0;
    for (size_t i = 0; i < keys.size(); i++) {
      if (position[i] < 0) {
        missed |= uint32_t{1} << i;
        continue;
      }
      uint16_t& entry = entries[position[i]];
      if ((entry & kReferenced) == 0) entry |= kReferenced;
      to[i] = Target(view, entry & kHomeMask, hints);
    }
    hits += keys.size() - std::popcount(missed);
    for (; missed != 0; missed &= missed - 1) {
      const int i = std::countr_zero(missed);
      to[i] = Miss(view, keys[i], hints, &no_room);
    }
  }
  if (hits != hash.size()) Add(counters.misses, hash.size() - hits);
  Add(counters.hits, hits);
  if (standin_packets != 0) Add(counters.standin, standin_packets);
}

inline KthreadId FlowAffinity::State::Target(const AppView& view, uint16_t home, Hints& hints) {
  const Route route = routes[home];
  if (route.epoch != epoch) return Resolve(view, home, hints);
  standin_packets += route.standin;
  return route.kthread;
}

// A packet whose flow was not in the table when its burst was looked up.
KthreadId FlowAffinity::State::Miss(const AppView& view, uint32_t key, Hints& hints, bool* no_room) {
  if (flows >= capacity && !*no_room) {
    deficit = std::max(deficit, std::max<uint32_t>(1, capacity / 128));
    Sweep(kEntriesPerBurst, FlowMap::kBurst);
  }
  // An earlier packet of this burst may have brought the flow in. Insert would find that, too, but it would also
  // take positions beyond the capacity.
  const bool room = flows < capacity && !*no_room;
  const int32_t position = room ? map.Insert(key) : map.Find(key);
  if (position < 0) {
    *no_room = true;
    Add(counters.full, 1);
    return view.active.empty() ? view.landing : view.active[key % static_cast<uint32_t>(view.active.size())];
  }
  if ((entries[position] & kTaken) == 0) {
    Take(position, SmallestHome(), kReferenced);
    Add(counters.inserts, 1);
  }
  return Target(view, entries[position] & kHomeMask, hints);
}

void FlowAffinity::State::StartEpoch(const AppView& view, Hints& hints) {
  if (change == 0) Learn(view);  // made while kthreads ran already
  changed = false;
  if (++epoch == 0) {  // wrapped: nothing may look valid
    for (Route& route : routes) route.epoch = 0;
    epoch = 1;
  }
  hints.wanted.reset();
  least_loaded = LeastLoaded(view);
}

// The last burst has been sent by now, so rx_sent counts every packet that these homes had in it.
void FlowAffinity::State::NoteSent(const AppView& view) {
  for (const uint16_t home : touched) {
    homes[home].mark = view.kthreads[routes[home].kthread].rx_sent;
    homes[home].touched = false;
  }
  touched.clear();
}

// Between two rounds of the hand: first notes what has been sent to every kthread, then waits until all of it has
// been consumed. Goes on where it stopped, so a burst pays for a few kthreads at most.
void FlowAffinity::State::NoteDrained(const AppView& view) {
  if (round == Round::kMark) {
    for (KthreadId k = 0; k < round_mark.size(); k++) round_mark[k] = view.kthreads[k].rx_sent;
    round = Round::kDrain;
    round_next = 0;
  }
  while (round_next < round_mark.size() && Consumed(view.kthreads[round_next], round_mark[round_next])) round_next++;
  if (round_next == round_mark.size()) round = Round::kRunning;
}

// ----------------------------------------------------------------------------------------------------- homes

// The active kthreads have changed: which homes have theirs, and does a new core need a home?
void FlowAffinity::State::Learn(const AppView& view) {
  change++;
  changed = true;
  for (const KthreadId k : view.active) {
    const uint16_t home = home_of_core[view.kthreads[k].core];
    if (home != kAnyHome) homes[home].held = change;
  }
  for (const KthreadId k : view.active) {
    const CoreId core = view.kthreads[k].core;
    if (home_of_core[core] == kAnyHome) Bind(view, core);
    const uint16_t home = home_of_core[core];
    if (home == kAnyHome) continue;
    homes[home].held = change;
    homes[home].kthread = k;
  }
}

// Gives the core to a home that never had one, else to the one that has been away longest.
void FlowAffinity::State::Bind(const AppView& view, CoreId core) {
  uint16_t chosen = kAnyHome;
  if (bound < homes.size()) {
    chosen = bound++;
  } else {
    for (uint16_t home = 0; home < homes.size(); home++) {
      // A core that one of our kthreads still has, or is about to run on, is not lost.
      const CoreId old = homes[home].core;
      if (homes[home].held == change || (old < view.on_core.size() && view.on_core[old] != kNoKthread)) continue;
      const bool longer = chosen == kAnyHome || change - homes[home].held > change - homes[chosen].held;
      if (longer) chosen = home;
    }
    if (chosen == kAnyHome) return;
    home_of_core[homes[chosen].core] = kAnyHome;
    Add(counters.rebinds, 1);
  }
  homes[chosen].core = core;
  home_of_core[core] = chosen;
}

// The kthread for a packet of `home`, whose route is of an older epoch, or which waits to move.
KthreadId FlowAffinity::State::Resolve(const AppView& view, uint16_t home, Hints& hints) {
  const Home& h = homes[home];
  const bool away = h.held != change;
  if (away && h.core != kNoCore) hints.wanted.set(h.core);
  const KthreadId goal = away ? StandIn(view, home) : h.kthread;
  Route& route = routes[home];
  if (goal != route.kthread && MustStay(view, home)) {
    standin_packets++;
    return route.kthread;
  }
  MoveTo(view, home, goal);
  route.epoch = epoch;
  route.standin = away ? 1 : 0;
  standin_packets += route.standin;
  return goal;
}

// Who serves an away home: the one who does so now, unless that one left or another would still serve fewer flows
// with this home's on top.
KthreadId FlowAffinity::State::StandIn(const AppView& view, uint16_t home) const {
  if (view.active.empty()) return view.landing;
  const KthreadId now = routes[home].kthread;
  if (now == kNoKthread || !view.kthreads[now].steerable) return least_loaded;
  return load[now] > load[least_loaded] + home_flows[home] ? least_loaded : now;
}

KthreadId FlowAffinity::State::LeastLoaded(const AppView& view) const {
  KthreadId least = kNoKthread;
  for (const KthreadId k : view.active) {
    if (least == kNoKthread || load[k] < load[least]) least = k;
  }
  return least;
}

// True if the home's packets must still go where they went: another kthread could overtake that one.
bool FlowAffinity::State::MustStay(const AppView& view, uint16_t home) {
  const KthreadId now = routes[home].kthread;
  if (now == kNoKthread || !view.kthreads[now].steerable) return false;
  Home& h = homes[home];
  if (!h.moving) {
    h.moving = true;
    h.mark = view.kthreads[now].rx_sent;  // the home's last packet was among these
  }
  if (Consumed(view.kthreads[now], h.mark)) return false;
  if (!h.touched) {
    h.touched = true;
    touched.push_back(home);
  }
  return true;
}

void FlowAffinity::State::MoveTo(const AppView& view, uint16_t home, KthreadId kthread) {
  homes[home].moving = false;
  KthreadId& now = routes[home].kthread;
  if (now == kthread) return;
  if (now != kNoKthread) load[now] -= home_flows[home];
  if (kthread != kNoKthread) load[kthread] += home_flows[home];
  now = kthread;
  if (kthread == least_loaded) least_loaded = LeastLoaded(view);
}

// ----------------------------------------------------------------------------------------------------- flows

void FlowAffinity::State::Take(int32_t position, uint16_t home, uint16_t marks) {
  entries[position] = kTaken | marks | home;
  flows++;
  home_flows[home]++;
  if (routes[home].kthread != kNoKthread) load[routes[home].kthread]++;
}

void FlowAffinity::State::Forget(uint32_t position) {
  const uint16_t home = entries[position] & kHomeMask;
  map.Erase(map.KeyAt(static_cast<int32_t>(position)));
  entries[position] = 0;
  flows--;
  home_flows[home]--;
  if (routes[home].kthread != kNoKthread) load[routes[home].kthread]--;
}

void FlowAffinity::State::Sweep(uint32_t entries_to_see, uint32_t flows_to_forget) {
  uint64_t forgotten = 0;
  for (; entries_to_see > 0 && forgotten < flows_to_forget && round == Round::kRunning; entries_to_see--) {
    uint16_t& entry = entries[hand];
    if ((entry & kTaken) != 0 && (entry & kInstalled) == 0) {
      if ((entry & kReferenced) != 0) {
        entry &= static_cast<uint16_t>(~kReferenced);
      } else {
        Forget(hand);
        forgotten++;
      }
    }
    if (++hand == entries.size()) {
      hand = 0;
      round = Round::kMark;
    }
  }
  deficit -= std::min<uint32_t>(deficit, static_cast<uint32_t>(forgotten));
  if (forgotten != 0) Add(counters.evictions, forgotten);
}

// ---------------------------------------------------------------------------------------------------- outside

tl::expected<FlowAffinity, std::string> FlowAffinity::Make(const SteeringOptions& options) {
  if (options.max_kthreads == 0 || options.max_kthreads > kMaxHomes) {
    return tl::unexpected("flow-affinity serves 1 to " + std::to_string(kMaxHomes) + " kthreads, not " +
                          std::to_string(options.max_kthreads));
  }
  auto map = FlowMap::Make(options.flows);
  if (!map) return tl::unexpected(std::move(map.error()));
  return FlowAffinity(std::make_unique<State>(std::move(*map), options));
}

FlowAffinity::FlowAffinity(const SteeringOptions& options) {
  auto made = Make(options);
  SLUICE_CHECK(made.has_value(), made.error().c_str());
  state_ = std::move(made->state_);
}

FlowAffinity::FlowAffinity(std::unique_ptr<State> state) : state_(std::move(state)) {}
FlowAffinity::FlowAffinity(FlowAffinity&&) noexcept = default;
FlowAffinity& FlowAffinity::operator=(FlowAffinity&&) noexcept = default;
FlowAffinity::~FlowAffinity() = default;

void FlowAffinity::SteerBurst(const AppView& view, std::span<const uint32_t> hash, std::span<KthreadId> out,
                              Ticks /*now*/, Hints& hints) {
  state_->Steer(view, hash, out, hints);
}

void FlowAffinity::OnActiveChange(const AppView& view) { state_->Learn(view); }

void FlowAffinity::Idle(uint32_t budget, Ticks /*now*/) {
  if (state_->deficit != 0) state_->Sweep(budget * kEntriesPerUnit, std::min(budget, state_->deficit));
}

tl::expected<uint16_t, FlowError> FlowAffinity::Install(uint32_t hash, const FiveTuple& tuple, uint16_t home) {
  State& s = *state_;
  if (home != kAnyHome && home >= s.homes.size()) return tl::unexpected(FlowError::kNoSuchHome);
  const bool room = s.flows < s.capacity;
  const int32_t position = room ? s.map.Insert(hash) : s.map.Find(hash);
  if (position < 0) return tl::unexpected(FlowError::kFull);
  const uint16_t entry = s.entries[position];
  if ((entry & kInstalled) != 0 && s.tuples[position] != tuple) return tl::unexpected(FlowError::kHashTaken);
  if ((entry & kTaken) != 0) {
    const uint16_t old = entry & kHomeMask;
    if (home == kAnyHome) home = old;
    s.entries[position] = 0;
    s.flows--;
    s.home_flows[old]--;
    if (s.routes[old].kthread != kNoKthread) s.load[s.routes[old].kthread]--;
  }
  s.Take(position, home == kAnyHome ? s.SmallestHome() : home, kInstalled);
  s.tuples[position] = tuple;
  return s.entries[position] & kHomeMask;
}

bool FlowAffinity::Remove(uint32_t hash, const FiveTuple& tuple) {
  State& s = *state_;
  const int32_t position = s.map.Find(hash);
  if (position < 0 || (s.entries[position] & kInstalled) == 0 || s.tuples[position] != tuple) return false;
  s.Forget(static_cast<uint32_t>(position));
  return true;
}

size_t FlowAffinity::List(uint32_t* cursor, std::span<InstalledFlow> out) const {
  const State& s = *state_;
  size_t count = 0;
  for (; *cursor < s.entries.size() && count < out.size(); (*cursor)++) {
    const uint16_t entry = s.entries[*cursor];
    if ((entry & kInstalled) == 0) continue;
    const uint32_t hash = s.map.KeyAt(static_cast<int32_t>(*cursor));
    out[count++] = {hash, static_cast<uint16_t>(entry & kHomeMask), s.tuples[*cursor]};
  }
  return count;
}

const FlowAffinity::Counters& FlowAffinity::counters() const { return state_->counters; }
uint32_t FlowAffinity::flows() const { return state_->flows; }
uint32_t FlowAffinity::capacity() const { return state_->capacity; }
uint16_t FlowAffinity::homes() const { return static_cast<uint16_t>(state_->homes.size()); }
CoreId FlowAffinity::HomeCore(uint16_t home) const { return state_->homes[home].core; }
uint32_t FlowAffinity::HomeFlows(uint16_t home) const { return state_->home_flows[home]; }
uint16_t FlowAffinity::HomeOf(uint32_t hash) const {
  const int32_t position = state_->map.Find(hash);
  return position < 0 ? kAnyHome : state_->entries[position] & kHomeMask;
}

uint64_t FlowAffinity::MemoryBytes(uint32_t flows) { return FlowMap::MemoryBytes(flows); }
uint64_t FlowAffinity::TableBytes(uint32_t flows) {
  return FlowMap::MemoryBytes(flows) + uint64_t{FlowMap::Positions(flows)} * sizeof(uint16_t) + sizeof(State);
}

}  // namespace sluice
