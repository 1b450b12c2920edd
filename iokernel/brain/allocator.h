// allocator.h - decides which kthread runs on which core. Pure: memory and time in, grants out.
//
// The daemon's loop, the simulator and the tests run this same code. It reads the apps' signal lines and
// writes their grant lines (abi/grant.h), and has two ways out: GrantBackend carries grants to threads,
// AllocatorHost hears what the data path must know. All calls come from one thread.
//
// Invariants
//  1. at most one kthread of all apps holds a core slot; a kthread holds at most one.
//  2. the sum of guarantees never exceeds the core slots (CheckAdmission, before Attach).
//  3. an app with work and below its guarantee has a core, or one is being taken back for it.
//  4. a kthread is in AppView::active from its first-run acknowledgement if another kthread of the app runs,
//     else from the grant; never after a cede was sent or a park was seen.
//  5. a parked kthread with work (abi::WorkWaits) makes its app want a core until it has been granted.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "iokernel/abi/region.h"
#include "iokernel/grant/backend.h"
#include "policies/registry.h"
#include "policies/views.h"

namespace sluice {

struct CoreSpec {
  uint16_t cpu = 0;
  uint16_t node = 0;
  CoreId sibling = kNoCore;
};

struct AllocatorOptions {
  std::vector<CoreSpec> cores;  // by CoreId
  uint16_t nic_node = 0;
  bool shared_cpus = false;  // several slots on one CPU: never escalate beyond the signal
  Ticks interval = 0;        // between passes
  Ticks cede_grace = 0;      // from the cede word to the signal
  Ticks cede_resend = 0;     // from signal to signal
  Ticks cede_give_up = 0;    // from the cede word to eviction
  std::string pick = "memoized";
  std::string congestion = "standing-queue";
  std::string placement = "simple";
};

// One app as it is attached.
struct AppSpec {
  AppId id = kNoApp;
  uint16_t kthreads = 1;  // also the most cores it may hold
  uint16_t guaranteed = 0;
  Priority priority = Priority::kLatencyCritical;
  const Hints* hints = nullptr;  // of its steering policy; outlives the attachment
};

// Its shared memory, as the IOKernel laid it out. Outlives the attachment.
struct AppMemory {
  const abi::AppLine* line = nullptr;
  struct Kthread {
    const abi::SignalLine* signal = nullptr;
    abi::GrantLine* grant = nullptr;
  };
  std::vector<Kthread> kthreads;
};

// What the data path hears from the allocator.
class AllocatorHost {
 public:
  virtual ~AllocatorHost() = default;
  // The kthread has parked: take everything from its TX and fill rings. Called before the core is reused.
  virtual void OnParked(AppId app, KthreadId kthread) = 0;
  // AppView::active, landing or a core of the app has changed (calls OnActiveChange of its steering).
  virtual void OnActiveChange(AppId app) = 0;
  // The kthread has not answered a cede within the bound and was evicted; the app should be detached.
  virtual void OnUnresponsive(AppId app, KthreadId kthread) = 0;
};

struct AllocatorCounters {
  uint64_t passes = 0;
  uint64_t grants = 0;
  uint64_t parks = 0;
  uint64_t cedes = 0;
  uint64_t signals = 0;
  uint64_t evictions = 0;
};

class Allocator {
 public:
  Allocator(const AllocatorOptions& options, GrantBackend& backend, AllocatorHost& host);
  ~Allocator();
  Allocator(const Allocator&) = delete;
  Allocator& operator=(const Allocator&) = delete;

  // Empty if an app with these wishes fits, else the reason with its arithmetic.
  [[nodiscard]] std::string CheckAdmission(uint16_t guaranteed, uint16_t kthreads) const;

  void Attach(const AppSpec& spec, const AppMemory& memory);
  // Takes every core of the app at once; its memory is not touched again.
  void Detach(AppId app);

  [[nodiscard]] const AppView& View(AppId app) const;

  // `count` RX messages have just been sent to `kthread`. Wakes the app at once if nobody of it is awake.
  void OnSent(AppId app, KthreadId kthread, uint32_t count, Ticks now);

  // One pass: reads the signal lines, handles parks and acknowledgements, gives and takes cores.
  void Pass(Ticks now);

  [[nodiscard]] std::span<const CoreView> cores() const;
  [[nodiscard]] const ShareView& share(AppId app) const;
  [[nodiscard]] const AllocatorCounters& counters() const;
  // Grants that this app, this kthread has had.
  [[nodiscard]] uint64_t grants(AppId app, KthreadId kthread) const;

 private:
  struct App;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
