#include "iokernel/dataplane/neighbour.h"

#include "iokernel/abi/check.h"

namespace sluice {
namespace {

// Requests per second on average, and at once.
constexpr uint64_t kRequestsPerSecond = 2000;
constexpr uint64_t kRequestBurst = 64;

}  // namespace

NeighbourTable::NeighbourTable(const LinkOptions& options, abi::TickRate rate, NeighbourHost& host,
                               LoopCounters& counters)
    : options_(options),
      host_(host),
      counters_(counters),
      retry_(rate.FromUs(uint64_t{options.arp_retry_ms} * 1000)),
      hold_(rate.FromUs(uint64_t{options.arp_hold_ms} * 1000)),
      reachable_(rate.FromUs(uint64_t{options.reachable_ms} * 1000)),
      forget_(rate.FromUs(uint64_t{options.forget_ms} * 1000)),
      entries_(options.neighbours),
      nodes_(options.waiting),
      waiting_of_app_(kMaxApps),
      token_interval_(rate.hz() / kRequestsPerSecond) {
  SLUICE_CHECK(options.neighbours >= kWays && (options.neighbours & (options.neighbours - 1)) == 0,
               "the neighbour table's size is a power of two, at least one set");
  for (uint32_t node = 0; node < nodes_.size(); ++node) ReleaseNode(node);
}

NeighbourTable::Entry* NeighbourTable::Set(uint32_t address) {
  const auto sets = static_cast<uint32_t>(entries_.size()) / kWays;
  const uint32_t hash = address * 0x9e37'79b1U;
  return &entries_[size_t{hash >> 16 & (sets - 1)} * kWays];
}

NeighbourTable::Entry* NeighbourTable::Lookup(uint32_t address) {
  Entry* set = Set(address);
  for (uint32_t way = 0; way < kWays; ++way) {
    if (set[way].address == address && set[way].state != State::kFree) return &set[way];
  }
  return nullptr;
}

const abi::MacAddress* NeighbourTable::Find(uint32_t hop, uint32_t asker, Ticks now) {
  Entry* entry = Lookup(hop);
  if (entry == nullptr || entry->state < State::kReachable) return nullptr;
  entry->used = now;
  entry->asker = asker;
  return &entry->mac;
}

// What is lost if the entry goes: nothing, a memory of failure, a question, an answer, an answer in use.
int NeighbourTable::Worth(const Entry& entry) {
  switch (entry.state) {
    case State::kFree:
      return 0;
    case State::kFailed:
      return 1;
    case State::kIncomplete:
      return 2;
    default:
      return entry.used == 0 ? 3 : 4;
  }
}

NeighbourTable::Entry& NeighbourTable::Claim(uint32_t address, Ticks now) {
  Entry* set = Set(address);
  Entry* least = set;
  const auto last_needed = [](const Entry& e) { return e.used > e.confirmed ? e.used : e.confirmed; };
  for (uint32_t way = 1; way < kWays; ++way) {
    const int worth = Worth(set[way]);
    const int least_worth = Worth(*least);
    if (worth < least_worth || (worth == least_worth && last_needed(set[way]) < last_needed(*least))) least = &set[way];
  }
  if (least->state != State::kFree) {
    counters_.neighbours_evicted.Add();
    Free(*least);
  }
  counters_.neighbours.Set(++in_use_);
  *least = Entry{};
  least->address = address;
  least->confirmed = now;
  return *least;
}

void NeighbourTable::Free(Entry& entry) {
  DropAll(entry);
  entry.state = State::kFree;
  counters_.neighbours.Set(--in_use_);
}

NeighbourTable::WaitResult NeighbourTable::Wait(uint32_t hop, uint32_t asker, rte_mbuf* frame, AppId app, Ticks now) {
  Entry* entry = Lookup(hop);
  if (entry != nullptr && entry->state == State::kFailed && now < entry->due) return WaitResult::kUnreachable;
  // One app may take a quarter of the room.
  if (free_nodes_ == kNone || waiting_of_app_[app] >= options_.waiting / 4 ||
      (entry != nullptr && entry->waiting >= options_.waiting_per_hop)) {
    return WaitResult::kFull;
  }
  if (entry == nullptr) entry = &Claim(hop, now);
  if (entry->state == State::kFree || entry->state == State::kFailed) {
    entry->state = State::kIncomplete;
    entry->asker = asker;
    entry->tries = 0;
    Ask(*entry, now);
  }
  const uint32_t node = free_nodes_;
  free_nodes_ = nodes_[node].next;
  nodes_[node] = {frame, kNone, app};
  (entry->head == kNone ? entry->head : nodes_[entry->tail].next) = node;
  entry->tail = node;
  ++entry->waiting;
  ++waiting_of_app_[app];
  ++waiting_;
  return WaitResult::kWaiting;
}

void NeighbourTable::OnRequest(uint32_t address, const abi::MacAddress& mac, Ticks now) {
  Entry* entry = Lookup(address);
  Learn(entry == nullptr ? Claim(address, now) : *entry, mac, now);
}

bool NeighbourTable::OnReply(uint32_t address, const abi::MacAddress& mac, Ticks now) {
  Entry* entry = Lookup(address);
  if (entry == nullptr || (entry->state != State::kIncomplete && entry->state != State::kProbing)) return false;
  Learn(*entry, mac, now);
  return true;
}

void NeighbourTable::OnAnnouncement(uint32_t address, const abi::MacAddress& mac, Ticks now) {
  Entry* entry = Lookup(address);
  if (entry == nullptr || entry->state != State::kReachable || entry->mac == mac) return;
  entry->state = State::kProbing;
  entry->tries = 0;
  entry->due = now;
}

void NeighbourTable::Learn(Entry& entry, const abi::MacAddress& mac, Ticks now) {
  entry.state = State::kReachable;
  entry.mac = mac;
  entry.confirmed = now;
  entry.tries = 0;
  while (entry.head != kNone) {
    const Waiting waiting = nodes_[PopWaiting(entry)];
    entry.used = now;
    host_.SendWaiting(waiting.frame, waiting.app, entry.mac);
  }
}

bool NeighbourTable::MayAsk(Ticks now) {
  // The bucket as a time: tokens_from_ lags behind now by one interval per token.
  const Ticks full = token_interval_ * kRequestBurst;
  if (now > full && tokens_from_ < now - full) tokens_from_ = now - full;
  if (tokens_from_ + token_interval_ > now) return false;
  tokens_from_ += token_interval_;
  return true;
}

void NeighbourTable::Ask(Entry& entry, Ticks now) {
  if (!MayAsk(now)) {
    entry.due = now + retry_;  // not a try: nothing was asked
    return;
  }
  entry.due = now + (retry_ << entry.tries);
  ++entry.tries;
  // A known neighbour is asked alone at first (RFC 1122, section 2.3.2.1, "Unicast Poll"), then everybody.
  const bool poll = entry.state == State::kProbing && entry.tries <= 2;
  host_.SendArpRequest(entry.address, entry.asker, poll ? &entry.mac : nullptr);
}

void NeighbourTable::GiveUp(Entry& entry, Ticks now) {
  counters_.neighbours_failed.Add();
  if (entry.state == State::kProbing) {
    Free(entry);  // the next packet asks anew, and waits
    return;
  }
  DropAll(entry);
  entry.state = State::kFailed;
  entry.due = now + hold_;
}

void NeighbourTable::Sweep(uint32_t entries, Ticks now) {
  for (uint32_t i = 0; i < entries; ++i) {
    Entry& entry = entries_[cursor_];
    cursor_ = (cursor_ + 1) & (static_cast<uint32_t>(entries_.size()) - 1);
    switch (entry.state) {
      case State::kFree:
        break;
      case State::kFailed:
        if (now >= entry.due) Free(entry);
        break;
      case State::kIncomplete:
      case State::kProbing:
        if (now < entry.due) break;
        if (entry.tries >= options_.arp_tries) {
          GiveUp(entry, now);
        } else {
          Ask(entry, now);
        }
        break;
      case State::kReachable: {
        const Ticks needed = entry.used > entry.confirmed ? entry.used : entry.confirmed;
        if (now > needed && now - needed > forget_) {
          Free(entry);
        } else if (entry.used > entry.confirmed && now > entry.confirmed && now - entry.confirmed > reachable_) {
          entry.state = State::kProbing;
          entry.tries = 0;
          entry.due = now;
        }
        break;
      }
    }
  }
}

void NeighbourTable::ForgetApp(AppId app) {
  if (waiting_of_app_[app] == 0) return;
  for (Entry& entry : entries_) {
    // Every packet goes round the queue once; the app's own leave it.
    for (uint32_t left = entry.waiting; left > 0; --left) {
      const uint32_t node = PopWaiting(entry);
      const Waiting waiting = nodes_[node];
      if (waiting.app == app) {
        host_.DropWaiting(waiting.frame, waiting.app);
        continue;
      }
      const uint32_t again = free_nodes_;
      free_nodes_ = nodes_[again].next;
      nodes_[again] = {waiting.frame, kNone, waiting.app};
      (entry.head == kNone ? entry.head : nodes_[entry.tail].next) = again;
      entry.tail = again;
      ++entry.waiting;
      ++waiting_of_app_[waiting.app];
      ++waiting_;
    }
  }
}

void NeighbourTable::DropAll(Entry& entry) {
  while (entry.head != kNone) {
    const Waiting waiting = nodes_[PopWaiting(entry)];
    host_.DropWaiting(waiting.frame, waiting.app);
  }
}

// Takes the first waiting packet off the entry; its node is free but still readable until the next Wait.
uint32_t NeighbourTable::PopWaiting(Entry& entry) {
  const uint32_t node = entry.head;
  entry.head = nodes_[node].next;
  if (entry.head == kNone) entry.tail = kNone;
  --entry.waiting;
  --waiting_of_app_[nodes_[node].app];
  --waiting_;
  ReleaseNode(node);
  return node;
}

void NeighbourTable::ReleaseNode(uint32_t node) {
  nodes_[node].next = free_nodes_;
  free_nodes_ = node;
}

}  // namespace sluice
