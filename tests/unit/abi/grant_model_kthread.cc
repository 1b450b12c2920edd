// grant_model_kthread.cc - a kthread's program; see grant_model.h.
#include "tests/unit/abi/grant_model.h"

namespace sluice::abi {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr auto kAcquire = std::memory_order_acquire;
constexpr auto kRelease = std::memory_order_release;

// Phases of a kthread.
enum : uint8_t { kAwaiting, kLooking, kOwnRing, kOtherRing, kTimer, kParking };

}  // namespace

void GrantModel::StepKthread(Kthread& me, uint8_t k) {
  switch (me.phase) {
    case kAwaiting:
      return Await(me, k);
    case kLooking:
      return Look(me, k);
    case kOwnRing:
      Softirq(me, k, k);
      me.phase = shape_.kthreads > 1 ? kOtherRing : kTimer;
      break;
    case kOtherRing:
      Softirq(me, k, static_cast<uint8_t>(1 - k));
      me.phase = kTimer;
      break;
    case kParking:
      return Park(me, k);
  }
  if (me.phase != kTimer) return;
  if (me.timer) FireTimer(me);
  me.phase = me.found ? kLooking : kParking;
  me.found = false;
}

void GrantModel::Await(Kthread& me, uint8_t k) {
  const auto wait = [&](const CheckedAtomic<uint32_t>& word, uint32_t generation) {
    Machine::current->FutexWait(word.word(), generation, bug_ != Bug::kSleepBlind);
    return true;
  };
  if (!me.holder.AwaitGrant(wait)) return;
  const uint32_t generation = me.holder.generation();
  OnGhost([=](Ghost& ghost) {
    Require(ghost.granted[k] && ghost.generation[k] == generation, "a kthread runs without a grant");
    ghost.running[k] = true;
  });
  const uint32_t core = me.holder.core();
  OnGhost([=](Ghost& ghost) { Require(ghost.core[k] == core, "a kthread runs on a core that is not its own"); });
  me.phase = kLooking;
}

// The safe point, then what is runnable, then the inbox.
void GrantModel::Look(Kthread& me, uint8_t k) {
  const bool ceded = bug_ == Bug::kCedeAnyGeneration ? grant_[k].cede.load(kRelaxed) != 0 : me.holder.CedeRequested();
  if (ceded) {
    const uint32_t generation = me.holder.generation();
    OnGhost([=](Ghost& ghost) {
      Require(ghost.ceded[k] == generation, "a kthread heeds a cede that is not for this grant");
    });
    me.park_flags = me.in_hand > 0 ? uint32_t{kParkPreempted} : 0;
    me.phase = kParking;
    return;
  }
  OnGhost([&](Ghost& ghost) {
    Require(ghost.running[k], "a uthread runs without a core");
    ghost.done += me.in_hand;
    ghost.in_hand[k] = 0;
  });
  me.in_hand = 0;
  me.phase = kOwnRing;
  if (shape_.pushes == 0) return;
  uint32_t kick = bug_ == Bug::kKickReadLate ? 0 : kick_.load(kAcquire);
  const auto items = static_cast<uint8_t>(inbox_.exchange(0, kAcquire));
  if (bug_ == Bug::kKickReadLate) kick = kick_.load(kAcquire);
  if (items == 0) {
    me.kick_seen = kick;
    return;
  }
  me.in_hand = static_cast<uint8_t>(me.in_hand + items);
  me.found = true;
  OnGhost([=](Ghost& ghost) { ghost.in_hand[k] = static_cast<uint8_t>(ghost.in_hand[k] + items); });
}

// Takes a whole ring over, its own or its neighbour's, if nobody else has it.
void GrantModel::Softirq(Kthread& me, uint8_t k, uint8_t ring) {
  const bool shared = shape_.kthreads > 1;
  if (shared && rx_softirq_[ring].exchange(1, kAcquire) != 0) {
    // Parking now would say that the own ring's packets wait, and be answered by a grant.
    me.found |= ring == k && shape_.max_generation == 0;
    return;
  }
  const uint32_t tail = rx_tail_[ring].load(kAcquire);
  const uint32_t taken = rx_taken_[ring].load(kRelaxed);
  if (tail != taken) {
    rx_taken_[ring].store(tail, kRelaxed);
    signal_[ring].rx_consumed.store(tail, kRelaxed);
    const auto count = static_cast<uint8_t>(tail - taken);
    me.in_hand = static_cast<uint8_t>(me.in_hand + count);
    me.found = true;
    OnGhost([=](Ghost& ghost) {
      Require(ghost.running[k], "a softirq runs without a core");
      Require(ghost.consumed[ring] == taken && tail <= ghost.sent[ring], "packets are taken twice, or were never sent");
      ghost.consumed[ring] = tail;
      ghost.in_hand[k] = static_cast<uint8_t>(ghost.in_hand[k] + count);
    });
  }
  if (shared) rx_softirq_[ring].store(0, kRelease);
}

void GrantModel::FireTimer(Kthread& me) {
  if (clock_.load(kRelaxed) < kDue) return;
  me.timer = false;
  me.found = true;
  OnGhost([](Ghost& ghost) { ghost.fired = true; });
}

void GrantModel::Park(Kthread& me, uint8_t k) {
  ParkRecord record;
  record.rx_consumed = rx_taken_[k].load(kRelaxed);
  record.kick_seen = me.kick_seen;
  record.next_timer = me.timer ? kDue : kNoTimer;
  record.flags = me.park_flags;
  me.park_flags = 0;
  me.phase = kAwaiting;
  if (bug_ == Bug::kNoAcknowledgement) me.phase = kLooking;
  OnGhost([=](Ghost& ghost) {
    ghost.running[k] = false;
    ghost.granted[k] = false;
  });
  const uint32_t generation = me.holder.generation();
  if (bug_ == Bug::kParkedFirst) signal_[k].parked.store(generation, kRelease);
  if (bug_ == Bug::kParkedFirst || bug_ == Bug::kParkedRelaxed) {
    signal_[k].rx_consumed.store(record.rx_consumed, kRelaxed);
    signal_[k].kick_seen.store(record.kick_seen, kRelaxed);
    signal_[k].next_timer.store(record.next_timer, kRelaxed);
    signal_[k].park_flags.store(record.flags, kRelaxed);
    if (bug_ == Bug::kParkedRelaxed) signal_[k].parked.store(generation, kRelaxed);
    return;
  }
  me.holder.Park(record);
}

}  // namespace sluice::abi
