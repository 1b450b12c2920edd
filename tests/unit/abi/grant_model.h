// grant_model.h - the programs whose interleavings grant_check_test.cc explores: an IOKernel, one or two kthreads,
// a plain pthread and a clock, around the real handshake of iokernel/abi/grant.h.
//
// The IOKernel's program follows iokernel/brain (poll, park, recheck, grant) and iokernel/dataplane (steer, send);
// a kthread's follows runtime/sched (cede point, run, inbox, softirq, steal, timer, park). Rings are counters here:
// lrpc has its own tests. `Bug` plants one fault, to show that the checker would see it.
#pragma once

#include <string>

#include "iokernel/abi/grant.h"
#include "tests/lib/interleave.h"

namespace sluice::abi {

using interleave::CheckedAtomic;
using interleave::Digest;
using interleave::Machine;
using interleave::Placement;
using interleave::Require;
using interleave::World;

enum class Bug {
  kNone,
  kIgnoreRx,           // after a park the IOKernel does not compare what it sent
  kIgnoreTimer,        // nor looks at the timer
  kIgnoreKick,         // nor at the kick word
  kIgnorePreempted,    // nor at the interrupted uthread
  kParkedFirst,        // `parked` is stored before the rest of the record
  kParkedRelaxed,      // `parked` is stored without release
  kSleepBlind,         // the sleep does not compare the generation
  kSteerToCeding,      // packets go to a kthread that was asked for its core
  kSteerToParked,      // packets go to a parked kthread, and it is not woken
  kKickBeforePush,     // the pthread raises the kick word before the inbox has its item
  kKickReadLate,       // the kthread reads the kick word after it found the inbox empty
  kCedeAnyGeneration,  // a kthread heeds a cede that was meant for an earlier grant
  kNoAcknowledgement,  // a kthread runs again after its park without waiting for a grant
};

struct Shape {
  uint8_t kthreads = 1;
  uint8_t cores = 1;
  uint8_t packets = 1;
  uint8_t cedes = 0;
  uint8_t adds = 0;    // cores given to a kthread without any work, as for congestion
  uint8_t pushes = 0;  // into the inbox, by the plain pthread
  bool timer = false;  // of kthread 0
  // Not 0: a kthread may park while its neighbour drains its ring. It can then be granted in vain for as long as
  // that takes, so the search is cut off at this generation.
  uint32_t max_generation = 0;
};

class GrantModel {
 public:
  static constexpr size_t kMax = 2;  // kthreads and cores
  static constexpr uint8_t kNobody = 0xff;
  static constexpr uint64_t kDue = 1;  // when the timer is due; the clock goes from 0 to 1

  struct IoKernel {
    GrantIssuerT<CheckedAtomic> issuers[kMax];
    uint32_t rx_sent[kMax] = {};
    uint64_t next_timer[kMax] = {kNoTimer, kNoTimer};
    bool waits[kMax] = {};      // parked with work
    bool preempted[kMax] = {};  // parked inside a uthread
    uint8_t core_of[kMax] = {};
    uint8_t owner_of[kMax] = {kNobody, kNobody};  // by core
    uint8_t packets = 0;
    uint8_t cedes = 0;
    uint8_t adds = 0;
    uint8_t phase = 0;
    uint32_t kick_seen = 0;
    bool kicked = false;  // nobody is awake and the inbox has something
  };
  struct Kthread {
    GrantHolderT<CheckedAtomic> holder;
    uint8_t phase = 0;
    uint8_t in_hand = 0;  // runnable uthreads that it holds
    bool found = false;   // any work in this round
    bool timer = false;   // armed
    uint32_t kick_seen = 0;
    uint32_t park_flags = 0;
  };
  struct Local {
    IoKernel iok;
    Kthread kthread;
    uint8_t left = 0;  // of the pthread's pushes, of the clock's ticks
  };
  // What really is the case.
  struct Ghost {
    uint32_t sent[kMax], consumed[kMax];
    uint32_t generation[kMax], ceded[kMax];
    uint8_t core[kMax], in_hand[kMax];
    bool granted[kMax], running[kMax];
    uint32_t done;  // packets and inbox items worked off
    bool fired;
  };

  GrantModel(const Shape& shape, Bug bug) : shape_(shape), bug_(bug) {}

  void Place(Placement& placement);
  [[nodiscard]] size_t threads() const { return 1u + shape_.kthreads + (shape_.pushes > 0) + shape_.timer; }
  Local Start(size_t thread);
  void Step(size_t thread, Local& local);
  [[nodiscard]] bool Done(const Ghost& ghost, const Local* locals, const World& world) const;
  [[nodiscard]] bool Beyond(const Local* locals) const;
  void Key(const Local& local, Digest& digest) const;
  void Key(const Ghost& ghost, Digest& digest) const;

 private:
  enum class Role { kIoKernel, kKthread, kPthread, kClock };
  [[nodiscard]] Role RoleOf(size_t thread) const;

  // The IOKernel, one phase a step.
  void StepIoKernel(IoKernel& me);
  void PollKthread(IoKernel& me, uint8_t k);
  void CheckSleepers(IoKernel& me);
  void GiveCores(IoKernel& me);
  void Grant(IoKernel& me, uint8_t k, uint8_t core);
  void SendPacket(IoKernel& me);
  void AddCore(IoKernel& me);
  void CedeSomebody(IoKernel& me);
  [[nodiscard]] bool Waits(const IoKernel& me, uint8_t k, ParkRecord record) const;
  [[nodiscard]] bool AnyAwake(const IoKernel& me) const;
  // The kthreads that may get packets: protocols.md, "steerable".
  uint8_t Steerable(const IoKernel& me, uint8_t* out) const;

  // A kthread.
  void StepKthread(Kthread& me, uint8_t k);
  void Await(Kthread& me, uint8_t k);
  void Look(Kthread& me, uint8_t k);
  void Softirq(Kthread& me, uint8_t k, uint8_t ring);
  void FireTimer(Kthread& me);
  void Park(Kthread& me, uint8_t k);

  template <class Effect>
  static void OnGhost(Effect&& effect) {
    Machine::current->OnGhost<Ghost>(std::forward<Effect>(effect));
  }

  Shape shape_;
  Bug bug_;

  SignalLineT<CheckedAtomic> signal_[kMax];
  GrantLineT<CheckedAtomic> grant_[kMax];
  CheckedAtomic<uint32_t> rx_tail_[kMax];     // the IOKernel's end of the RX ring
  CheckedAtomic<uint32_t> rx_taken_[kMax];    // the app's end; under the softirq flag
  CheckedAtomic<uint32_t> rx_softirq_[kMax];  // the flag
  CheckedAtomic<uint32_t> inbox_;             // items in it
  CheckedAtomic<uint32_t> kick_;
  CheckedAtomic<uint64_t> clock_;
};

}  // namespace sluice::abi
