// random_world.h - a machine of puppets that do as the seed says, around the real allocator, and what must hold.
//
// Apps attach, detach, receive packets, run, steal, park, hang, refuse to cede and lie in shared memory; packets
// are sent from within the allocator's own callbacks; clocks jump; every pick, congestion and placement policy of the
// registry has its turn. After each step the invariants of allocator.h are checked against what the puppets know, not
// against what the allocator believes, and with them
//  6. a best-effort app above its guarantee does not keep a core that a latency-critical one waits for;
//  7. a core that was asked back is back, or its kthread evicted, within the bound.
// In some worlds all decisions are recorded, and the record must tell the same story as the counters.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "iokernel/brain/allocator.h"
#include "tests/lib/puppet.h"

namespace sluice::test {

// Bugs planted to see that the checks find them.
enum class Planted : uint8_t {
  kNone,
  kBrokenGuarantee,  // a placement policy that takes nothing from anybody
  kForgottenSend,    // now and then the allocator is not told of a packet
  kSecondIssuer,     // somebody else grants cores, too
};

class RandomWorld final : public GrantBackend, public AllocatorHost {
 public:
  explicit RandomWorld(uint64_t seed, Planted planted = Planted::kNone);

  // Runs `steps` steps, or until something that must hold does not. Returns what; empty: all was well.
  std::string Run(int steps);

  [[nodiscard]] const AllocatorCounters& counters() const { return allocator_->counters(); }

 private:
  struct Kthread {
    bool hung = false;
    bool interrupted = false;  // a uthread of it was preempted
    bool evicted = false;
    bool was_running = false;  // before this pass
    uint32_t sent = 0;         // packets, as the data path knows
  };
  struct App {
    std::unique_ptr<PuppetApp> puppet;
    std::vector<Kthread> kthreads;
    uint32_t inbox = 0;
    bool liar = false;
    int detach_in = 0;  // passes until the control thread detaches it; 0: no reason to
    int owed_passes = 0;
    int idle_core_passes = 0;
    int delayed_passes = 0;
  };

  bool Chance(uint32_t percent) { return random_() % 100 < percent; }
  // 0 .. n - 1; a liar's queue lengths may have wrapped to no choice at all.
  uint32_t Below(uint32_t n) { return n == 0 ? 0 : static_cast<uint32_t>(random_() % n); }

  void MaybeAttach();
  void Detach(AppId id);
  void SendTo(App& app, AppId id);
  void Act(App& app, KthreadId k);
  void Steal(App& app, KthreadId k);
  void ParkNow(App& app, KthreadId k, bool preempted);
  void Lie(App& app);
  void Step();

  void Fail(const std::string& what);
  void Check();
  void CheckCores();
  void CheckViews(App& app, AppId id);
  void CheckLiveness(App& app, AppId id, bool idle_core);
  void CheckCeding();
  void DrainRecord();
  void CheckRecord();
  [[nodiscard]] std::string State() const;
  [[nodiscard]] uint32_t ParkedWithWork(const App& app) const;
  [[nodiscard]] static bool HasCore(const App& app, KthreadId k);

  // GrantBackend
  [[nodiscard]] std::string_view name() const override { return "random"; }
  void Enrol(AppId, pid_t, std::span<const EnrolledThread>, Priority) override {}
  void Release(AppId) override {}
  void Wake(AppId, KthreadId, CoreId) override {}
  void Interrupt(AppId app, KthreadId k) override;
  void Evict(AppId app, KthreadId k) override;
  // AllocatorHost
  void OnParked(AppId app, KthreadId k) override;
  void OnActiveChange(AppId app) override;
  void OnUnresponsive(AppId app, KthreadId k) override;

  std::mt19937_64 random_;
  const Planted planted_;
  AllocatorOptions options_;
  std::unique_ptr<Allocator> allocator_;
  std::array<App, 12> apps_;
  Ticks now_ = 1'000'000'000;
  uint64_t deferred_ = 0;
  struct Ceding {
    Ticks owned_since = 0;  // which grant it is
    Ticks since = 0;        // 0: it is not
  };
  std::vector<Ceding> ceding_;  // by CoreId
  bool recording_ = false;
  std::vector<std::byte> record_;
  std::string failure_;
};

}  // namespace sluice::test
