// flow_entries.cc - flows coming into the table of flow-affinity and leaving it: homes, forgetting, installing.
#include <algorithm>

#include "policies/steering/flow_affinity_state.h"

namespace sluice {
namespace {

constexpr uint32_t kEntriesPerBurst = 256;  // that the hand looks at when a burst finds the table full

}  // namespace

void FlowAffinity::State::Take(int32_t position, uint16_t home, uint16_t marks) {
  entries[position] = kTaken | marks | home;
  flows++;
  homes.AddFlow(home);
}

void FlowAffinity::State::Forget(uint32_t position) {
  map.Erase(map.KeyAt(static_cast<int32_t>(position)));
  homes.RemoveFlow(entries[position] & kHomeMask);
  entries[position] = 0;
  flows--;
}

// -------------------------------------------------------------------------------------- flows that wait for a home

// A flow gets a home whose packets go to the kthread that has its packets already. So none of them moves, and none
// is overtaken. Returns what is left of the budget.
uint32_t FlowAffinity::State::SettleWaiting(uint32_t budget) {
  if (homes.changed()) return budget;             // nobody's kthread is known until the next burst
  const uint32_t cost = 1 + homes.count() / 64u;  // the choice of a home looks at each
  for (; budget > 0 && !waiting->empty(); budget -= std::min(budget, cost)) {
    const auto [hash, kthread] = waiting->Take();
    if (map.Find(hash) >= 0) continue;
    if (flows >= capacity) MakeRoom();
    if (flows >= capacity) continue;
    const uint16_t home = homes.SmallestAt(kthread);
    const int32_t position = home == kAnyHome ? -1 : map.Insert(hash);
    if (position < 0) continue;
    Take(position, home, kReferenced);
    Add(counters.inserts, 1);
  }
  return budget;
}

// ------------------------------------------------------------------------------------------------------ forgetting

void FlowAffinity::State::MakeRoom() {
  deficit = std::max(deficit, std::max<uint32_t>(1, capacity / 128));
  Sweep(kEntriesPerBurst, FlowMap::kBurst);
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

// ---------------------------------------------------------------------------------------------------- from outside

tl::expected<uint16_t, FlowError> FlowAffinity::Install(uint32_t hash, const FiveTuple& tuple, uint16_t home) {
  State& s = *state_;
  if (home != kAnyHome && home >= s.homes.count()) return tl::unexpected(FlowError::kNoSuchHome);
  const bool room = s.flows < s.capacity;
  const int32_t position = room ? s.map.Insert(hash) : s.map.Find(hash);
  if (position < 0) return tl::unexpected(FlowError::kFull);
  const uint16_t entry = s.entries[position];
  const bool again = (entry & kInstalled) != 0;
  if (again && s.tuples[position].tuple != tuple) return tl::unexpected(FlowError::kHashTaken);
  if ((entry & kTaken) != 0) {
    const uint16_t old = entry & kHomeMask;
    if (home == kAnyHome) home = old;
    s.flows--;
    s.homes.RemoveFlow(old);
  }
  s.Take(position, home == kAnyHome ? s.homes.Smallest() : home, kInstalled);
  if (!again) {
    s.tuples[position] = {tuple, static_cast<uint32_t>(s.installed.size())};
    s.installed.push_back(static_cast<uint32_t>(position));  // reserved: as many as the table may hold
  }
  return s.entries[position] & kHomeMask;
}

bool FlowAffinity::Remove(uint32_t hash, const FiveTuple& tuple) {
  State& s = *state_;
  const int32_t position = s.map.Find(hash);
  if (position < 0 || (s.entries[position] & kInstalled) == 0 || s.tuples[position].tuple != tuple) return false;
  const uint32_t index = s.tuples[position].index;
  s.installed[index] = s.installed.back();
  s.tuples[s.installed[index]].index = index;
  s.installed.pop_back();
  s.Forget(static_cast<uint32_t>(position));
  return true;
}

// From the end to the start: a removal puts the last flow, which was listed, into the hole.
size_t FlowAffinity::List(uint32_t* cursor, std::span<InstalledFlow> out) const {
  const State& s = *state_;
  auto left = static_cast<uint32_t>(std::min<size_t>(*cursor, s.installed.size()));
  size_t count = 0;
  while (left > 0 && count < out.size()) {
    const uint32_t position = s.installed[--left];
    const uint32_t hash = s.map.KeyAt(static_cast<int32_t>(position));
    out[count++] = {hash, static_cast<uint16_t>(s.entries[position] & kHomeMask), s.tuples[position].tuple};
  }
  *cursor = left;
  return count;
}

}  // namespace sluice
