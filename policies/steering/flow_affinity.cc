// flow_affinity.cc - the burst path. Per packet it reads the flow's entry (two bytes, at its position in the map)
// and its home's route (eight bytes).
#include "policies/steering/flow_affinity.h"

#include <array>
#include <bit>

#include "iokernel/abi/check.h"
#include "policies/steering/flow_affinity_state.h"

namespace sluice {
namespace {

constexpr uint32_t kEntriesPerUnit = 8;  // entries the hand looks at for one unit of Idle's budget

KthreadId ByHash(const AppView& view, uint32_t key) {
  return view.active.empty() ? view.landing : view.active[key % static_cast<uint32_t>(view.active.size())];
}

}  // namespace

void FlowAffinity::State::Steer(const AppView& view, std::span<const uint32_t> hash, std::span<KthreadId> out,
                                Hints& hints) {
  // What waited was steered among kthreads that are not the same any more.
  if (homes.BeginBurst(view, hints) && waiting != nullptr) waiting->Clear();
  if (round != Round::kRunning) NoteDrained(view);

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
      to[i] = homes.Target(view, entry & kHomeMask, hints);
    }
    hits += keys.size() - std::popcount(missed);
    for (; missed != 0; missed &= missed - 1) {
      const int i = std::countr_zero(missed);
      to[i] = waiting != nullptr ? Wait(view, keys[i]) : Miss(view, keys[i], hints, &no_room);
    }
  }
  if (hits != hash.size()) Add(counters.misses, hash.size() - hits);
  Add(counters.hits, hits);
  if (homes.standin_packets() != 0) Add(counters.standin, homes.standin_packets());
}

// A packet whose flow was not in the table when its burst was looked up.
KthreadId FlowAffinity::State::Miss(const AppView& view, uint32_t key, Hints& hints, bool* no_room) {
  if (flows >= capacity && !*no_room) MakeRoom();
  // An earlier packet of this burst may have brought the flow in. Insert would find that, too, but it would also
  // take positions beyond the capacity.
  const bool room = flows < capacity && !*no_room;
  const int32_t position = room ? map.Insert(key) : map.Find(key);
  if (position < 0) {
    *no_room = true;
    Add(counters.full, 1);
    return ByHash(view, key);
  }
  if ((entries[position] & kTaken) == 0) {
    Take(position, homes.Smallest(), kReferenced);
    Add(counters.inserts, 1);
  }
  return homes.Target(view, entries[position] & kHomeMask, hints);
}

// The same where flows get their homes in Idle. No flow gets in during a burst, so its packets agree.
KthreadId FlowAffinity::State::Wait(const AppView& view, uint32_t key) {
  const KthreadId kthread = ByHash(view, key);
  Add(counters.waiting, 1);
  if (!view.active.empty()) waiting->Note(key, kthread);
  return kthread;
}

// ---------------------------------------------------------------------------------------------------- the policy

tl::expected<std::unique_ptr<FlowAffinity::State>, std::string> FlowAffinity::MakeState(const SteeringOptions& options,
                                                                                        Insertion insertion,
                                                                                        std::string_view name) {
  if (options.max_kthreads == 0 || options.max_kthreads > kMaxHomes) {
    return tl::unexpected(std::string(name) + " serves 1 to " + std::to_string(kMaxHomes) + " kthreads, not " +
                          std::to_string(options.max_kthreads));
  }
  auto map = FlowMap::Make(options.flows);
  if (!map) return tl::unexpected(std::move(map.error()));
  return std::make_unique<State>(std::move(*map), options, insertion);
}

tl::expected<FlowAffinity, std::string> FlowAffinity::Make(const SteeringOptions& options) {
  return MakeState(options, Insertion::kAtOnce, kName).map([](std::unique_ptr<State> state) {
    return FlowAffinity(std::move(state));
  });
}

FlowAffinity::FlowAffinity(const SteeringOptions& options) {
  auto made = MakeState(options, Insertion::kAtOnce, kName);
  SLUICE_CHECK(made.has_value(), made.error().c_str());
  state_ = std::move(*made);
}

FlowAffinity::FlowAffinity(std::unique_ptr<State> state) : state_(std::move(state)) {}
FlowAffinity::FlowAffinity(FlowAffinity&&) noexcept = default;
FlowAffinity& FlowAffinity::operator=(FlowAffinity&&) noexcept = default;
FlowAffinity::~FlowAffinity() = default;

void FlowAffinity::SteerBurst(const AppView& view, std::span<const uint32_t> hash, std::span<KthreadId> out,
                              Ticks /*now*/, Hints& hints) {
  state_->Steer(view, hash, out, hints);
}

void FlowAffinity::OnActiveChange(const AppView& view) {
  if (const uint32_t rebinds = state_->homes.Learn(view); rebinds != 0) Add(state_->counters.rebinds, rebinds);
}

void FlowAffinity::Wish(uint32_t hash, Hints& hints) const {
  const State& s = *state_;
  const int32_t position = s.map.Find(hash);
  if (position < 0) return;
  const CoreId core = s.homes.core(s.entries[position] & kHomeMask);
  if (core == kNoCore) return;
  hints.wanted.reset();
  hints.wanted.set(core);
}

void FlowAffinity::Idle(uint32_t budget, Ticks /*now*/) {
  State& s = *state_;
  if (s.waiting != nullptr) budget = s.SettleWaiting(budget);
  if (s.deficit != 0) s.Sweep(budget * kEntriesPerUnit, std::min(budget, s.deficit));
}

SteeringAnswer FlowAffinity::Explain(const AppView& view, uint32_t hash) const {
  const State& s = *state_;
  const int32_t position = s.map.Find(hash);
  if (position >= 0) return s.homes.Explain(view, s.entries[position] & kHomeMask);
  if (s.waiting != nullptr || s.flows >= s.capacity) {
    const auto reason = view.active.empty()    ? SteeringReason::kLanding
                        : s.waiting != nullptr ? SteeringReason::kWaits
                                               : SteeringReason::kNoRoom;
    return {.kthread = ByHash(view, hash), .reason = reason};
  }
  SteeringAnswer answer = s.homes.Explain(view, s.homes.Smallest());
  answer.reason = SteeringReason::kNewFlow;
  return answer;
}

const FlowAffinity::Counters& FlowAffinity::counters() const { return state_->counters; }
uint32_t FlowAffinity::flows() const { return state_->flows; }
uint32_t FlowAffinity::capacity() const { return state_->capacity; }
uint16_t FlowAffinity::homes() const { return state_->homes.count(); }
CoreId FlowAffinity::HomeCore(uint16_t home) const { return state_->homes.core(home); }
uint32_t FlowAffinity::HomeFlows(uint16_t home) const { return state_->homes.flows(home); }
uint16_t FlowAffinity::HomeOf(uint32_t hash) const {
  const int32_t position = state_->map.Find(hash);
  return position < 0 ? kAnyHome : state_->entries[position] & kHomeMask;
}

uint64_t FlowAffinity::MemoryBytes(uint32_t flows) { return FlowMap::MemoryBytes(flows); }
uint64_t FlowAffinity::TableBytes(uint32_t flows) {
  return FlowMap::MemoryBytes(flows) + uint64_t{FlowMap::Positions(flows)} * sizeof(uint16_t) + sizeof(State);
}

}  // namespace sluice
