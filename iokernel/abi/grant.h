// grant.h - the handshake by which the IOKernel gives a core to a kthread and gets it back.
//
//            Grant            first instruction           Cede
//   parked --------> granted ------------------> running --------> ceding
//     ^                 |                           |                 |
//     +-----------------+---------- Park -----------+-----------------+
//
// One kthread has two cache lines in shared memory, each with one writer. A *generation* numbers its
// grants: the IOKernel raises it with each grant, the kthread answers with the same number when it runs
// and when it parks. Neither side acts on a number that is not the current one.
//
// The sleep is futex_wait(&generation, the generation I parked with), so a grant that comes first is not
// lost. The cede word is the truth; a signal only makes the kthread look at it sooner. The same signal ends a
// uthread's turn: the word `turn_over` names the turn by the run queue's head, which moves with every turn.
//
// Invariants (explored over all interleavings, store buffers included, by tests/unit/abi/grant_check_test.cc)
//  1. the IOKernel grants only a kthread that has parked its current generation: at most one grant is out.
//  2. a kthread runs only between acknowledging a generation and parking it.
//  3. work queued implies that the kthread is awake, or that a grant is pending: after a park the IOKernel
//     compares what it sent with what was consumed (WorkWaits) before it lets the kthread sleep.
//
// Both sides and the checker compile this file; only the atomics differ. A hostile kthread can lie in its
// line: it then gets or loses cores of its own app, nothing else.
// Source: Shenango, section 4; Caladan's ksched by idea.
#pragma once

#include <atomic>
#include <cstdint>

#include "iokernel/abi/clock.h"

namespace sluice::abi {

inline constexpr Ticks kNoTimer = ~Ticks{0};

// What a kthread says when it parks.
enum ParkFlag : uint32_t {
  kParkPreempted = 1 << 0,  // a uthread was interrupted and waits on this kthread: pick it before any rule
};

// Written by the app only: by the kthread itself, rq_* and rx_consumed also by a thief while it holds that
// queue's lock. Everything the IOKernel wants to know in a pass, on one line.
template <template <class> class Atomic>
struct alignas(64) SignalLineT {
  Atomic<uint32_t> running;       // generation acknowledged by its first instruction
  Atomic<uint32_t> parked;        // generation given back; release, after every other field
  Atomic<uint32_t> rq_head;       // run queue: uthreads taken, modulo 2^32
  Atomic<uint32_t> rq_tail;       // run queue: uthreads made runnable, modulo 2^32
  Atomic<uint32_t> rx_consumed;   // RX messages taken, modulo 2^32 (not the ring's flow-control head)
  Atomic<uint32_t> kick_seen;     // value of the app's kick word before the inbox was last found empty
  Atomic<uint32_t> park_flags;    // ParkFlag
  Atomic<uint32_t> set_aside;     // uthreads that wait inside a signal handler for another turn
  Atomic<uint64_t> oldest_ready;  // ticks when the oldest runnable uthread became so; 0: none
  Atomic<uint64_t> busy_ticks;    // ticks spent in uthreads and softirqs since attach
  Atomic<uint64_t> next_timer;    // ticks when the next timer is due; kNoTimer: none
  Atomic<uint64_t> reserved1;
};

// Written by the IOKernel only.
template <template <class> class Atomic>
struct alignas(64) GrantLineT {
  Atomic<uint32_t> generation;  // the futex word
  Atomic<uint32_t> core;        // core slot of this grant
  Atomic<uint32_t> cpu;         // CPU of that slot
  Atomic<uint32_t> cede;        // equal to generation: give the core back at the next safe point
  Atomic<uint32_t> turn_over;   // equal to rq_head: the uthread that runs has had its time slice
  Atomic<uint32_t> reserved[11];
};

template <class T>
using StdAtomic = std::atomic<T>;
using SignalLine = SignalLineT<StdAtomic>;
using GrantLine = GrantLineT<StdAtomic>;
static_assert(sizeof(SignalLine) == 64 && sizeof(GrantLine) == 64);

// The PARK message.
struct ParkRecord {
  uint32_t rx_consumed = 0;
  uint32_t kick_seen = 0;
  Ticks next_timer = kNoTimer;
  uint32_t flags = 0;  // ParkFlag
};

// True if a kthread that parked with `record` has something to do: it may not be left asleep.
// rx_sent: RX messages the IOKernel has ever sent it. kick: the app's kick word now; pass
// record.kick_seen where another kthread of the app is awake, for that one will see the inbox.
constexpr bool WorkWaits(const ParkRecord& record, uint32_t rx_sent, uint32_t kick, Ticks now) {
#ifdef SLUICE_PLANTED_BUG  // a lost wake-up that tests/sim must find
  rx_sent = record.rx_consumed;
#endif
  return record.rx_consumed != rx_sent || record.kick_seen != kick || record.next_timer <= now ||
         (record.flags & kParkPreempted) != 0;
}

// ---------------------------------------------------------------------------------------------------
// The kthread's end. Thread: the kthread itself.
template <template <class> class Atomic>
class GrantHolderT {
 public:
  GrantHolderT() = default;
  GrantHolderT(SignalLineT<Atomic>* signal, const GrantLineT<Atomic>* grant) : signal_(signal), grant_(grant) {}

  [[nodiscard]] uint32_t generation() const { return generation_; }
  [[nodiscard]] uint32_t core() const { return grant_->core.load(std::memory_order_relaxed); }
  [[nodiscard]] uint32_t cpu() const { return grant_->cpu.load(std::memory_order_relaxed); }

  // True once the IOKernel wants this core back.
  [[nodiscard]] bool CedeRequested() const { return grant_->cede.load(std::memory_order_relaxed) == generation_; }

  // True if the IOKernel wants the uthread that runs to let others go first. Said of the turn that rq_head counts, so
  // it is no longer true in the next one.
  [[nodiscard]] bool TurnOver() const {
    return grant_->turn_over.load(std::memory_order_relaxed) == signal_->rq_head.load(std::memory_order_relaxed);
  }

  // Gives the core back. After this only AwaitGrant may run.
  void Park(const ParkRecord& record) {
    signal_->rx_consumed.store(record.rx_consumed, std::memory_order_relaxed);
    signal_->kick_seen.store(record.kick_seen, std::memory_order_relaxed);
    signal_->next_timer.store(record.next_timer, std::memory_order_relaxed);
    signal_->park_flags.store(record.flags, std::memory_order_relaxed);
    // Release pairs with GrantIssuer::Poll: whoever sees the park sees the record, and every message
    // this kthread put into its TX and fill rings.
    signal_->parked.store(generation_, std::memory_order_release);
  }

  // Blocks until the next grant and acknowledges it. `wait(word, value)` sleeps while *word == value and may
  // return early; it returns false to give up (the IOKernel is gone), and so does AwaitGrant then.
  template <class Wait>
  [[nodiscard]] bool AwaitGrant(Wait&& wait) {
    uint32_t generation;
    // Acquire pairs with GrantIssuer::Grant: the core of this grant is visible.
    while ((generation = grant_->generation.load(std::memory_order_acquire)) == generation_) {
      if (!wait(grant_->generation, generation_)) return false;
    }
    generation_ = generation;
    signal_->running.store(generation, std::memory_order_release);
    return true;
  }

 private:
  SignalLineT<Atomic>* signal_ = nullptr;
  const GrantLineT<Atomic>* grant_ = nullptr;
  uint32_t generation_ = 0;  // all-zero shared memory says: generation 0, parked
};
using GrantHolder = GrantHolderT<StdAtomic>;

// ---------------------------------------------------------------------------------------------------
// The IOKernel's end. Thread: the dataplane loop (or the simulator).
enum class GrantState : uint8_t { kParked, kGranted, kRunning, kCeding };
enum class GrantEvent : uint8_t { kNone, kStarted, kParked };

template <template <class> class Atomic>
class GrantIssuerT {
 public:
  GrantIssuerT() = default;
  GrantIssuerT(const SignalLineT<Atomic>* signal, GrantLineT<Atomic>* grant) : signal_(signal), grant_(grant) {}

  [[nodiscard]] GrantState state() const { return state_; }
  [[nodiscard]] uint32_t generation() const { return generation_; }

  // Gives `core` to a parked kthread; the caller then wakes it (futex, ksched). Precondition: kParked.
  void Grant(uint32_t core, uint32_t cpu) {
    grant_->core.store(core, std::memory_order_relaxed);
    grant_->cpu.store(cpu, std::memory_order_relaxed);
    state_ = GrantState::kGranted;
    // Release pairs with AwaitGrant.
    grant_->generation.store(++generation_, std::memory_order_release);
  }

  // Asks for the core back. Idempotent; of no effect on a parked kthread.
  void Cede() {
    if (state_ == GrantState::kParked) return;
    state_ = GrantState::kCeding;
    grant_->cede.store(generation_, std::memory_order_relaxed);
  }

  // Ends the turn that began when `rq_head` was published; a signal then makes the kthread look.
  void EndTurn(uint32_t rq_head) { grant_->turn_over.store(rq_head, std::memory_order_relaxed); }

  // Looks at the kthread's line. A park that overtakes the acknowledgement is reported as the park alone.
  [[nodiscard]] GrantEvent Poll() {
    if (state_ == GrantState::kParked) return GrantEvent::kNone;
    // Acquire pairs with GrantHolder::Park.
    if (signal_->parked.load(std::memory_order_acquire) == generation_) {
      state_ = GrantState::kParked;
      return GrantEvent::kParked;
    }
    if (state_ == GrantState::kGranted && signal_->running.load(std::memory_order_acquire) == generation_) {
      state_ = GrantState::kRunning;
      return GrantEvent::kStarted;
    }
    return GrantEvent::kNone;
  }

  // The record of the last park. Valid while kParked; thieves may have consumed more since.
  [[nodiscard]] ParkRecord Record() const {
    return {signal_->rx_consumed.load(std::memory_order_relaxed), signal_->kick_seen.load(std::memory_order_relaxed),
            signal_->next_timer.load(std::memory_order_relaxed), signal_->park_flags.load(std::memory_order_relaxed)};
  }

 private:
  const SignalLineT<Atomic>* signal_ = nullptr;
  GrantLineT<Atomic>* grant_ = nullptr;
  uint32_t generation_ = 0;
  GrantState state_ = GrantState::kParked;
};
using GrantIssuer = GrantIssuerT<StdAtomic>;

}  // namespace sluice::abi
