// grant_model.cc - the model as a whole and the IOKernel's program; see grant_model.h.
#include "tests/unit/abi/grant_model.h"

namespace sluice::abi {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr auto kAcquire = std::memory_order_acquire;
constexpr auto kRelease = std::memory_order_release;

}  // namespace

// ---- the model as a whole -------------------------------------------------------------------------

void GrantModel::Place(Placement& placement) {
  for (uint8_t k = 0; k < shape_.kthreads; ++k) {
    const auto add = [&](auto& atomic, std::string name, uint64_t value = 0) {
      placement.Add(atomic, (name += '[', name += static_cast<char>('0' + k), name += ']'), value);
    };
    add(signal_[k].running, "running");
    add(signal_[k].parked, "parked");
    add(signal_[k].rx_consumed, "rx_consumed");
    add(signal_[k].kick_seen, "kick_seen");
    add(signal_[k].park_flags, "park_flags");
    // A timer was armed and reported in an earlier life.
    add(signal_[k].next_timer, "next_timer", shape_.timer && k == 0 ? kDue : kNoTimer);
    add(grant_[k].generation, "generation");
    add(grant_[k].core, "core");
    add(grant_[k].cpu, "cpu");
    add(grant_[k].cede, "cede");
    add(rx_tail_[k], "rx_tail");
    add(rx_taken_[k], "rx_taken");
    add(rx_softirq_[k], "rx_softirq");
  }
  placement.Add(inbox_, "inbox");
  placement.Add(kick_, "kick");
  placement.Add(clock_, "clock");
}

GrantModel::Role GrantModel::RoleOf(size_t thread) const {
  if (thread == 0) return Role::kIoKernel;
  if (thread <= shape_.kthreads) return Role::kKthread;
  return thread == 1u + shape_.kthreads && shape_.pushes > 0 ? Role::kPthread : Role::kClock;
}

GrantModel::Local GrantModel::Start(size_t thread) {
  Local local;
  switch (RoleOf(thread)) {
    case Role::kIoKernel:
      for (uint8_t k = 0; k < shape_.kthreads; ++k) {
        local.iok.issuers[k] = GrantIssuerT<CheckedAtomic>(&signal_[k], &grant_[k]);
      }
      local.iok.packets = shape_.packets;
      local.iok.cedes = shape_.cedes;
      local.iok.adds = shape_.adds;
      if (shape_.timer) local.iok.next_timer[0] = kDue;
      break;
    case Role::kKthread:
      local.kthread.holder = GrantHolderT<CheckedAtomic>(&signal_[thread - 1], &grant_[thread - 1]);
      local.kthread.timer = shape_.timer && thread == 1;
      break;
    case Role::kPthread:
      local.left = shape_.pushes;
      break;
    case Role::kClock:
      local.left = 1;
  }
  return local;
}

void GrantModel::Step(size_t thread, Local& local) {
  switch (RoleOf(thread)) {
    case Role::kIoKernel:
      return StepIoKernel(local.iok);
    case Role::kKthread:
      return StepKthread(local.kthread, static_cast<uint8_t>(thread - 1));
    case Role::kPthread: {
      if (local.left == 0) return;
      CheckedAtomic<uint32_t>& first = bug_ == Bug::kKickBeforePush ? kick_ : inbox_;
      CheckedAtomic<uint32_t>& second = bug_ == Bug::kKickBeforePush ? inbox_ : kick_;
      first.fetch_add(1, kRelease);
      second.fetch_add(1, kRelease);
      --local.left;
      return;
    }
    case Role::kClock:
      if (local.left == 0) return;
      clock_.fetch_add(1, kRelease);
      --local.left;
  }
}

// All work is done, everybody sleeps, every core is free.
bool GrantModel::Done(const Ghost& ghost, const Local* locals, const World& world) const {
  const IoKernel& iok = locals[0].iok;
  if (iok.packets != 0 || ghost.done != uint32_t{shape_.packets} + shape_.pushes || ghost.fired != shape_.timer) {
    return false;
  }
  for (uint8_t k = 0; k < shape_.kthreads; ++k) {
    if (ghost.granted[k] || ghost.running[k] || world.threads[1 + k].blocked_on == 0) return false;
    if (iok.issuers[k].state() != GrantState::kParked || iok.waits[k]) return false;
  }
  return true;
}

bool GrantModel::Beyond(const Local* locals) const {
  if (shape_.max_generation == 0) return false;
  const auto& issuers = locals[0].iok.issuers;
  return issuers[0].generation() > shape_.max_generation || issuers[1].generation() > shape_.max_generation;
}

void GrantModel::Key(const Local& local, Digest& digest) const {
  const IoKernel& iok = local.iok;
  for (size_t k = 0; k < kMax; ++k) {
    digest.Add(uint64_t{iok.issuers[k].generation()} << 32 | iok.rx_sent[k]);
    digest.Add(iok.next_timer[k]);
    digest.Add(static_cast<uint64_t>(iok.issuers[k].state()) << 32 | uint64_t{iok.core_of[k]} << 24 |
               uint64_t{iok.owner_of[k]} << 16 | (iok.waits[k] ? 2 : 0) | (iok.preempted[k] ? 1 : 0));
  }
  digest.Add(uint64_t{iok.kick_seen} << 48 | uint64_t{iok.packets} << 24 | uint64_t{iok.cedes} << 16 |
             uint64_t{iok.adds} << 40 | uint64_t{iok.phase} << 8 | (iok.kicked ? 1 : 0));
  const Kthread& kthread = local.kthread;
  digest.Add(uint64_t{kthread.holder.generation()} << 32 | kthread.kick_seen);
  digest.Add(uint64_t{kthread.park_flags} << 32 | uint64_t{kthread.phase} << 24 | uint64_t{kthread.in_hand} << 16 |
             uint64_t{local.left} << 8 | (kthread.found ? 2 : 0) | (kthread.timer ? 1 : 0));
}

void GrantModel::Key(const Ghost& ghost, Digest& digest) const {
  for (size_t k = 0; k < kMax; ++k) {
    digest.Add(uint64_t{ghost.sent[k]} << 32 | ghost.consumed[k]);
    digest.Add(uint64_t{ghost.generation[k]} << 32 | ghost.ceded[k]);
    digest.Add(uint64_t{ghost.core[k]} << 32 | uint64_t{ghost.in_hand[k]} << 16 | (ghost.granted[k] ? 2 : 0) |
               (ghost.running[k] ? 1 : 0));
  }
  digest.Add(uint64_t{ghost.done} << 1 | (ghost.fired ? 1 : 0));
}

// ---- the IOKernel ---------------------------------------------------------------------------------

// A pass: poll each kthread, look after the sleepers, give cores; then the packets; then perhaps a core more or a
// cede. Phases
// without anything to do are left out, for each would be a state of its own.
void GrantModel::StepIoKernel(IoKernel& me) {
  const uint8_t check = shape_.kthreads, give = check + 1, send = check + 2, add = check + 3, cede = check + 4;
  const uint8_t phases = cede + 1;
  for (;; me.phase = static_cast<uint8_t>((me.phase + 1) % phases)) {
    const uint8_t phase = me.phase;
    if (phase < shape_.kthreads) {
      if (me.issuers[phase].state() == GrantState::kParked) continue;
      PollKthread(me, phase);
    } else if (phase == check) {
      CheckSleepers(me);
    } else if (phase == give) {
      GiveCores(me);
    } else if (phase == send) {
      if (me.packets == 0) continue;
      SendPacket(me);
    } else if (phase == add) {
      if (me.adds == 0) continue;
      AddCore(me);
    } else {
      if (me.cedes == 0 || !AnyAwake(me)) continue;
      CedeSomebody(me);
    }
    me.phase = static_cast<uint8_t>((me.phase + 1) % phases);
    return;
  }
}

// The kick word is the app's and is looked at apart: pass what makes it compare equal.
bool GrantModel::Waits(const IoKernel& me, uint8_t k, ParkRecord record) const {
  record.flags = me.preempted[k] ? uint32_t{kParkPreempted} : 0;
  if (bug_ == Bug::kIgnorePreempted) record.flags = 0;
  if (bug_ == Bug::kIgnoreTimer) record.next_timer = kNoTimer;
  const uint32_t rx_sent = bug_ == Bug::kIgnoreRx ? record.rx_consumed : me.rx_sent[k];
  return WorkWaits(record, rx_sent, record.kick_seen, shape_.timer ? clock_.load(kRelaxed) : 0);
}

bool GrantModel::AnyAwake(const IoKernel& me) const {
  for (uint8_t k = 0; k < shape_.kthreads; ++k) {
    if (me.issuers[k].state() != GrantState::kParked) return true;
  }
  return false;
}

void GrantModel::PollKthread(IoKernel& me, uint8_t k) {
  if (me.issuers[k].Poll() != GrantEvent::kParked) return;
  me.owner_of[me.core_of[k]] = kNobody;
  const ParkRecord record = me.issuers[k].Record();
  me.next_timer[k] = record.next_timer;
  me.preempted[k] = (record.flags & kParkPreempted) != 0;
  if (static_cast<int32_t>(record.kick_seen - me.kick_seen) > 0) me.kick_seen = record.kick_seen;
  me.waits[k] = Waits(me, k, record);
}

// Timers of parked kthreads, and the kick word where nobody is awake who will see the inbox itself.
void GrantModel::CheckSleepers(IoKernel& me) {
  // What waited may have been stolen meanwhile by a kthread that is awake.
  for (uint8_t k = 0; k < shape_.kthreads; ++k) {
    if (shape_.kthreads == 1 || !me.waits[k]) continue;
    const ParkRecord record = me.issuers[k].Record();
    me.waits[k] = Waits(me, k, record);
    me.next_timer[k] = record.next_timer;
  }
  if (shape_.timer && bug_ != Bug::kIgnoreTimer) {
    if (me.issuers[0].state() == GrantState::kParked && !me.waits[0] && me.next_timer[0] != kNoTimer) {
      me.waits[0] = me.next_timer[0] <= clock_.load(kRelaxed);
    }
  }
  if (shape_.pushes > 0 && bug_ != Bug::kIgnoreKick) {
    if (!AnyAwake(me) && !me.kicked) me.kicked = kick_.load(kRelaxed) != me.kick_seen;
  }
}

void GrantModel::GiveCores(IoKernel& me) {
  for (uint8_t core = 0; core < shape_.cores; ++core) {
    if (me.owner_of[core] != kNobody) continue;
    // An interrupted uthread first, then work that waits, then the inbox.
    uint8_t chosen = kNobody;
    for (uint8_t k = 0; k < shape_.kthreads; ++k) {
      if (me.issuers[k].state() != GrantState::kParked || !me.waits[k]) continue;
      if (chosen == kNobody || (me.preempted[k] && !me.preempted[chosen])) chosen = k;
    }
    if (chosen == kNobody && me.kicked && !AnyAwake(me)) chosen = 0;
    if (chosen != kNobody) Grant(me, chosen, core);
  }
  // Invariant 3, at the end of the pass: who is left asleep has nothing to do.
  bool asleep[kMax];
  for (uint8_t k = 0; k < shape_.kthreads; ++k) {
    asleep[k] = me.issuers[k].state() == GrantState::kParked && !me.waits[k];
  }
  OnGhost([&](Ghost& ghost) {
    for (uint8_t k = 0; k < shape_.kthreads; ++k) {
      if (!asleep[k]) continue;
      Require(ghost.sent[k] == ghost.consumed[k], "packets wait at a kthread that is left asleep");
      Require(ghost.in_hand[k] == 0, "an interrupted uthread waits at a kthread that is left asleep");
    }
  });
}

void GrantModel::Grant(IoKernel& me, uint8_t k, uint8_t core) {
  const uint32_t generation = me.issuers[k].generation() + 1;
  OnGhost([=, this](Ghost& ghost) {
    Require(!ghost.granted[k], "a second grant while one is out");
    for (uint8_t other = 0; other < shape_.kthreads; ++other) {
      Require(!ghost.granted[other] || ghost.core[other] != core, "a core is given that somebody still has");
    }
    ghost.granted[k] = true;
    ghost.generation[k] = generation;
    ghost.core[k] = core;
  });
  me.issuers[k].Grant(core, core);
  me.owner_of[core] = k;
  me.core_of[k] = core;
  me.waits[k] = false;
  me.preempted[k] = false;
  me.kicked = false;
  Machine::current->FutexWake(grant_[k].generation.word());
}

uint8_t GrantModel::Steerable(const IoKernel& me, uint8_t* out) const {
  uint8_t count = 0;
  for (const GrantState wanted : {GrantState::kRunning, GrantState::kGranted}) {
    for (uint8_t k = 0; k < shape_.kthreads; ++k) {
      const bool ceding = bug_ == Bug::kSteerToCeding && me.issuers[k].state() == GrantState::kCeding;
      if (me.issuers[k].state() == wanted || (ceding && wanted == GrantState::kRunning)) out[count++] = k;
    }
    if (count > 0) return count;
  }
  return 0;
}

void GrantModel::SendPacket(IoKernel& me) {
  uint8_t active[kMax];
  const uint8_t count = Steerable(me, active);
  // Nobody is active: the landing kthread, here any, takes it and runs next.
  const uint32_t choice = Machine::current->Choose(1u + (count == 0 ? shape_.kthreads : count));
  if (choice == 0) return;  // no packet just now
  const uint8_t k = count == 0 ? static_cast<uint8_t>(choice - 1) : active[choice - 1];
  const GrantState state = me.issuers[k].state();
  --me.packets;
  ++me.rx_sent[k];
  OnGhost([=](Ghost& ghost) {
    Require(count == 0 || state != GrantState::kCeding, "a packet goes to a kthread that was asked for its core");
    ++ghost.sent[k];
  });
  rx_tail_[k].store(me.rx_sent[k], kRelease);
  if (state == GrantState::kParked && bug_ != Bug::kSteerToParked) me.waits[k] = true;
}

void GrantModel::AddCore(IoKernel& me) {
  const uint32_t choice = Machine::current->Choose(1u + shape_.kthreads);
  if (choice == 0) return;
  const auto k = static_cast<uint8_t>(choice - 1);
  if (me.issuers[k].state() != GrantState::kParked) return;
  for (uint8_t core = 0; core < shape_.cores; ++core) {
    if (me.owner_of[core] != kNobody) continue;
    --me.adds;
    return Grant(me, k, core);
  }
}

void GrantModel::CedeSomebody(IoKernel& me) {
  const uint32_t choice = Machine::current->Choose(1u + shape_.kthreads);
  if (choice == 0) return;
  const auto k = static_cast<uint8_t>(choice - 1);
  const GrantState state = me.issuers[k].state();
  if (state == GrantState::kParked || state == GrantState::kCeding) return;
  --me.cedes;
  const uint32_t generation = me.issuers[k].generation();
  OnGhost([=](Ghost& ghost) { ghost.ceded[k] = generation; });
  me.issuers[k].Cede();
}

}  // namespace sluice::abi
