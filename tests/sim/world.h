// world.h - a machine of puppets that do as the seed says, around the real allocator, and what must hold.
//
// Apps attach, detach, crash, receive packets (some of which arrive late), run, steal, park, hang, refuse to cede and
// lie in shared memory; signals come late; clocks jump; packets are sent from within the allocator's own callbacks.
// The topology and the policies are drawn from the seed, too. After each step the invariants of allocator.h are
// checked against what the puppets know, not against what the allocator believes (world_checks.cc). In some worlds all
// decisions are recorded, and the record must tell the same story as the counters (world_record.cc). Who is owed a
// core, and how soon: world_liveness.cc.
//
// A schedule is made of pieces: what one app does in one step, or what befalls the machine in it. Each piece draws
// from its own sequence of random numbers, so pieces can be left out and the others stay the same: that is how a
// failing schedule is shrunk (shrink.h).
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "apps/simulator/engine/random.h"
#include "iokernel/brain/allocator.h"
#include "tests/lib/puppet.h"

namespace sluice::test {

// Bugs planted to see that the checks find them.
enum class Planted : uint8_t {
  kNone,
  kBrokenGuarantee,  // a placement policy that takes nothing from anybody
  kForgottenSend,    // now and then the allocator is not told of a packet
  kSecondIssuer,     // somebody else grants cores, too
  kDeafCongestion,   // a congestion policy that finds nobody congested
  kNoSharing,        // a placement policy by which an app that has no core gets none from one that bursts
  kLostSignals,      // no signal is sent to who does not give a core back
};

class World final : public GrantBackend, public AllocatorHost {
 public:
  static constexpr uint32_t kApps = 12;
  static constexpr uint32_t kPiecesPerStep = kApps + 1;  // the machine's is the first
  static constexpr uint32_t kSteps = 300;

  explicit World(uint64_t seed, Planted planted = Planted::kNone);

  // Runs until something that must hold does not, or to the end. `pieces`: by step * kPiecesPerStep + piece, which
  // ones take place; a short list stands for none beyond its end. Returns what failed; empty: all was well.
  std::string Run(const std::vector<bool>& pieces);
  [[nodiscard]] static std::vector<bool> AllPieces() { return std::vector<bool>(kSteps * kPiecesPerStep, true); }

  // Writes down what happens from now on, one line each.
  void Trace(std::string* text) { trace_ = text; }
  [[nodiscard]] uint32_t step() const { return step_; }
  [[nodiscard]] std::string Describe() const;  // of the machine
  [[nodiscard]] const AllocatorCounters& counters() const { return allocator_->counters(); }

 private:
  struct Kthread {
    bool hung = false;
    bool interrupted = false;  // a uthread of it was preempted
    bool evicted = false;
    bool was_running = false;  // before this pass
    bool signalled = false;    // a cede signal is under way
    uint32_t sent = 0;         // packets, as the data path knows
    uint32_t visible = 0;      // packets that have arrived; what was sent may be late
    uint32_t rq_mark = 0;      // what was queued before these marks was queued for `stood` passes,
    uint32_t rx_mark = 0;      //   in all of which the kthread ran
    int stood = 0;
  };
  struct App {
    std::unique_ptr<test::PuppetApp> puppet;
    std::vector<Kthread> kthreads;
    uint32_t inbox = 0;
    bool liar = false;
    bool stubborn = false;  // never gives a core back when asked
    bool crashed = false;
    int detach_in = 0;  // steps until the control thread detaches it; 0: no reason to
    int owed_passes = 0;
    int idle_core_passes = 0;
    int delayed_passes = 0;
    int shut_out_passes = 0;
  };

  // Whom a core was asked of when.
  struct Ceding {
    AppId app = kNoApp;
    KthreadId kthread = kNoKthread;
    uint64_t grant = 0;   // which one of that kthread
    Ticks since = 0;      // 0: it is not wanted back
    Ticks signalled = 0;  // when last; 0: not yet
    [[nodiscard]] bool SameGrant(const Ceding& other) const {
      return app == other.app && kthread == other.kthread && grant == other.grant;
    }
  };

  bool Chance(uint32_t percent) { return random_.Below(100) < percent; }
  // 0 .. n - 1; a liar's queue lengths may have wrapped to no choice at all.
  uint32_t Below(uint32_t n) { return n == 0 ? 0 : static_cast<uint32_t>(random_.Below(n)); }

  void MachinePiece();
  void AppPiece(AppId id);
  void Attach(AppId id);
  void Detach(AppId id);
  void SendTo(AppId id);
  void Act(AppId id, KthreadId k);
  void Work(AppId id, KthreadId k);
  void Steal(App& app, KthreadId k);
  void ParkNow(AppId id, KthreadId k, bool preempted);
  void Lie(App& app);

  // world_checks.cc
  void Fail(const std::string& what);
  void CheckFlushed();
  void Check();
  void CheckCores();
  void CheckViews(App& app, AppId id);
  [[nodiscard]] std::string State() const;
  [[nodiscard]] static bool HasCore(const App& app, KthreadId k);

  // world_liveness.cc
  void WatchQueues(App& app);
  void CheckLiveness(App& app, AppId id, bool idle_core);
  [[nodiscard]] bool Congested(const App& app) const;
  [[nodiscard]] bool BestEffortToSpare() const;
  [[nodiscard]] bool SomebodyShares(AppId id) const;
  [[nodiscard]] uint32_t ParkedWithWork(const App& app) const;

  // world_record.cc
  void StartRecord();
  void DrainRecord();
  void CheckRecord();

  void Note(const std::string& what);

  // GrantBackend
  [[nodiscard]] std::string_view name() const override { return "random"; }
  void Enrol(AppId, pid_t, std::span<const EnrolledThread>, Priority) override {}
  void Release(AppId) override {}
  void Wake(AppId app, KthreadId k, CoreId core) override;
  void Interrupt(AppId app, KthreadId k) override;
  void EndTurn(AppId app, KthreadId k) override;
  void Evict(AppId app, KthreadId k) override;
  void Flush() override { put_off_ = 0; }
  // AllocatorHost
  void OnParked(AppId app, KthreadId k) override;
  void OnActiveChange(AppId app) override;
  void OnUnresponsive(AppId app, KthreadId k) override;

  const uint64_t seed_;
  const Planted planted_;
  sim::Random random_;
  AllocatorOptions options_;
  std::unique_ptr<Allocator> allocator_;
  std::array<App, kApps> apps_;
  std::vector<Ceding> ceding_;    // by core
  std::vector<int> lost_passes_;  // by core: it has an owner who knows nothing of it
  Ticks now_ = 1'000'000'000;
  uint32_t step_ = 0;
  uint64_t deferred_ = 0;
  uint32_t put_off_ = 0;  // wake-ups and signals that a backend need not have carried out yet
  bool recording_ = false;
  std::vector<std::byte> record_;
  std::string failure_;
  std::string* trace_ = nullptr;
};

}  // namespace sluice::test
