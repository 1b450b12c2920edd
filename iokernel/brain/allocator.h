// allocator.h - decides which kthread runs on which core. Pure: memory and time in, grants out.
//
// The daemon's loop, the simulator and the tests run this same code. It reads the apps' signal lines and
// writes their grant lines (abi/grant.h), and has two ways out: GrantBackend carries grants to threads,
// AllocatorHost hears what the data path must know. All calls come from one thread, those marked otherwise apart.
//
// Invariants
//  1. at most one kthread of all apps holds a core slot; a kthread holds at most one.
//  2. the sum of guarantees never exceeds the core slots (CheckAdmission, before Attach).
//  3. an app with work and below its guarantee has a core, or one is being taken back for it.
//  4. a kthread is in AppView::active from its first-run acknowledgement if another kthread of the app runs,
//     else from the grant; never after a cede was sent or a park was seen.
//  5. a parked kthread with work (abi::WorkWaits, or uthreads left in its run queue) makes its app want a core
//     until it has been granted.
//
// Which kthread gets a core: one that was preempted inside a uthread, else one whose packets, timers or uthreads wait,
// the landing kthread first, else the pick policy's. For packets that wake an app the policy has chosen before they
// are steered (OnArrival).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "iokernel/abi/region.h"
#include "iokernel/brain/counters.h"
#include "iokernel/grant/backend.h"
#include "policies/views.h"

namespace sluice {

class BrainApp;  // app_state.h
class PickInterface;
class CongestionInterface;
class PlacementInterface;
class Recorder;  // recorder.h

struct BrainAppDeleter {
  void operator()(BrainApp* app) const;
};
using BrainAppPtr = std::unique_ptr<BrainApp, BrainAppDeleter>;

// The end of a uthread's turn costs the loop a system call of 1.0 to 1.4 us: with one every 5 us, on the average, ends
// of turns never take more than about a quarter of its time.
inline constexpr uint32_t kSliceSpacingUs = 5;
// A turn ends only after two passes have seen somebody wait: a shorter slice could not be kept.
inline constexpr uint32_t kLeastSliceUs = 10;

struct AllocatorOptions {
  std::vector<CoreSpec> cores;  // by CoreId
  uint16_t nic_node = 0;
  bool shared_cpus = false;     // several slots on one CPU: never escalate beyond the signal
  Ticks interval = 0;           // between passes
  Ticks cede_grace = 0;         // from the cede word to the signal
  Ticks cede_resend = 0;        // from signal to signal
  Ticks cede_give_up = 0;       // from the cede word to eviction; 0: never
  Ticks slice_spacing = 0;      // at least so much between two ends of turns, on the average; each costs a system call
  uint32_t slices_at_once = 4;  // ends of turns for which that may be saved up
  uint32_t grants_per_pass = 16;  // each may cost a system call; what is left over waits for the next pass
  abi::TickRate rate{};           // of all times here, for what is told in microseconds: delay:10us
  std::string pick = "memoized";
  std::string congestion = "standing-queue";
  std::string placement = "simple";
};

// Policies that are not in the registry: for tests, and for trying one out.
struct AllocatorPolicies {
  std::function<std::unique_ptr<PickInterface>(uint16_t kthreads, std::span<const CoreId> sibling)> pick;
  std::unique_ptr<CongestionInterface> congestion;
  std::unique_ptr<PlacementInterface> placement;
};

// One app as it is attached.
struct AppSpec {
  AppId id = kNoApp;
  uint16_t kthreads = 1;  // also the most cores it may hold
  uint16_t guaranteed = 0;
  Priority priority = Priority::kLatencyCritical;
  const Hints* hints = nullptr;  // of its steering policy; outlives the attachment
  Ticks slice = 0;               // how long a uthread may run while others of its kthread wait; 0: as long as it likes
};

// Its shared memory, as the IOKernel laid it out. Outlives the attachment.
struct AppMemory {
  const abi::AppLine* line = nullptr;
  struct Kthread {
    const abi::SignalLine* signal = nullptr;
    abi::GrantLine* grant = nullptr;
  };
  std::vector<Kthread> kthreads;
  uint32_t rx_slots = abi::kMaxRingSlots;  // of each RX ring: no more messages than that can be unread
};

// What the data path hears from the allocator. It may call OnSent from within these, nothing else.
class AllocatorHost {
 public:
  virtual ~AllocatorHost() = default;
  // The kthread has parked: take everything from its TX and fill rings. Called before the core is reused.
  virtual void OnParked(AppId app, KthreadId kthread) = 0;
  // AppView::active, landing or a core of the app has changed (calls OnActiveChange of its steering).
  // Comes from Pass, and from OnArrival and OnSent when they find a core.
  virtual void OnActiveChange(AppId app) = 0;
  // The kthread has not answered a cede within the bound and was evicted; the app should be detached, later.
  virtual void OnUnresponsive(AppId app, KthreadId kthread) = 0;
};

class Allocator {
 public:
  Allocator(const AllocatorOptions& options, GrantBackend& backend, AllocatorHost& host);
  Allocator(const AllocatorOptions& options, AllocatorPolicies policies, GrantBackend& backend, AllocatorHost& host);
  ~Allocator();
  Allocator(const Allocator&) = delete;
  Allocator& operator=(const Allocator&) = delete;

  // Empty if an app with these wishes fits beside those attached now, else the reason with its arithmetic.
  // Any thread; whoever posts attaches to another thread waits for the last one before he asks again.
  [[nodiscard]] std::string CheckAdmission(uint16_t guaranteed, uint16_t kthreads) const;

  // Everything the allocator will need for the app, so that Attach allocates nothing. Any thread.
  [[nodiscard]] BrainAppPtr Prepare(const AppSpec& spec, const AppMemory& memory) const;
  void Attach(BrainAppPtr app);
  void Attach(const AppSpec& spec, const AppMemory& memory);  // both in one, where allocating does no harm
  // Takes every core of the app at once; its memory is not touched again. What is returned may be freed on
  // any thread.
  BrainAppPtr Detach(AppId app);

  [[nodiscard]] const AppView& View(AppId app) const;

  // Packets for the app are about to be steered. If it sleeps it gets a core first, so that the core is one that
  // Hints::wanted names, the kthread is the pick policy's, and steering sees it in AppView::active. If the core has yet
  // to come back from somebody, the kthread picked for it is AppView::landing.
  void OnArrival(AppId app, Ticks now);
  // `count` RX messages have just been sent to `kthread`. Wakes the app at once if nobody of it is awake.
  void OnSent(AppId app, KthreadId kthread, uint32_t count, Ticks now);

  // One pass: reads the signal lines, handles parks and acknowledgements, gives and takes cores.
  void Pass(Ticks now);
  // Between passes, as often as one likes: hands on a core that a kthread was asked for and has given back, wakes a
  // sleeping app whose timer is due, looks at the inboxes of a few that sleep, and, while an app waits for a core that
  // it was refused, for a few kthreads that have parked of their own accord.
  void Urgent(Ticks now);

  // Records every decision while it is on (record_format.h).
  [[nodiscard]] Recorder& recorder();
  [[nodiscard]] const AllocatorOptions& options() const;

  [[nodiscard]] std::span<const CoreView> cores() const;
  [[nodiscard]] const ShareView& share(AppId app) const;

  // Any thread, between the app's attach and its detach.
  [[nodiscard]] const AllocatorCounters& counters() const;
  [[nodiscard]] const AppGrantCounters& app_counters(AppId app) const;
  // Grants that this app, this kthread has had.
  [[nodiscard]] uint64_t grants(AppId app, KthreadId kthread) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
