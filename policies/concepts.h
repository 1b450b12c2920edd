// concepts.h - the shape of each kind of policy. A policy is one header; its last line asserts its concept.
//
//   kind        one instance per    called by                          cost allowed
//   steering    app                 dataplane loop, per burst          inlined; a few ns per packet
//   pick        app                 allocator, per grant               a few ns
//   congestion  machine             allocator, per polled app          one indirect call per pass
//   placement   machine             allocator, per core given          one indirect call per decision
//
// All are called from one thread. None may allocate, lock or make a system call after it was made.
#pragma once

#include <concepts>
#include <cstdint>
#include <span>
#include <string_view>

#include "policies/views.h"

namespace sluice {

// Every policy names itself and says in one line what it does (for --list-policies). One that takes parameters also
// has kUsage, how to write them, and Accepts(parameters), false if they are wrong; it has defaults for all.
template <class P>
concept NamedPolicy = requires {
  { P::kName } -> std::convertible_to<std::string_view>;
  { P::kSummary } -> std::convertible_to<std::string_view>;
};

// What a policy may use when it is made, on the control thread.
struct SteeringOptions {
  uint16_t max_kthreads = 1;
  uint16_t cores = 1;
  uint32_t flows = 700'000;  // capacity of a flow table
  AppId app = 0;
  const char* unique = "";  // distinguishes tables of several instances in one process
};

// Steers a burst: out[i] is the kthread for the packet with flow hash hash[i]. Always writes every out[i]:
// a kthread of view.active, or view.landing while that is empty.
// OnActiveChange: view.active, view.landing or a core of the app has changed since the last call.
// Idle: work off the critical path, at most `budget` units (one unit: about one table operation).
template <class P>
concept SteeringPolicy = NamedPolicy<P> && std::movable<P> &&
    requires(P p, const AppView& view, std::span<const uint32_t> hash, std::span<KthreadId> out, Ticks now,
             Hints& hints, uint32_t budget, const SteeringOptions& options) {
  P(options);
  { p.SteerBurst(view, hash, out, now, hints) } -> std::same_as<void>;
  { p.OnActiveChange(view) } -> std::same_as<void>;
  { p.Idle(budget, now) } -> std::same_as<void>;
};

// A steering policy may also say where the flow that wakes a sleeping app would best be served: it replaces
// Hints::wanted by that core. Asked with the first packet of a burst, before the app is given a core.
template <class P>
concept WishesForCores = requires(const P p, uint32_t hash, Hints& hints) {
  { p.Wish(hash, hints) } -> std::same_as<void>;
};

// Picks the parked kthread that runs on `core`; kNoKthread if all run. Preempted kthreads are the
// allocator's business: it picks them before it asks.
// OnRun, OnPark: kthread k got `core`, gave `core` back.
template <class P>
concept PickPolicy = NamedPolicy<P> && std::movable<P> &&
    requires(P p, const AppView& view, CoreId core, KthreadId k, uint16_t kthreads, std::span<const CoreId> sibling) {
  P(kthreads, sibling);  // sibling: by CoreId, kNoCore where there is none; outlives the policy
  { p.Pick(view, core) } -> std::same_as<KthreadId>;
  { p.OnRun(k, core) } -> std::same_as<void>;
  { p.OnPark(k, core) } -> std::same_as<void>;
};

struct CongestionOptions {
  Ticks interval = 0;             // between two polls
  abi::TickRate rate{};           // of the times that it is told
  std::string_view parameters{};  // what the operator wrote after the name; empty: nothing
};

// Judges one app from the signals of its running kthreads.
template <class P>
concept CongestionPolicy = NamedPolicy<P> && std::movable<P> &&
    requires(P p, AppId app, uint16_t kthreads, std::span<const KthreadSignals> signals, Ticks now,
             const CongestionOptions& options) {
  P(options);
  { p.Attach(app, kthreads) } -> std::same_as<void>;
  { p.Detach(app) } -> std::same_as<void>;
  { p.Poll(app, signals, now) } -> std::same_as<Congestion>;
  { p.OnGrant(app, now) } -> std::same_as<void>;
};

// Chooses the core that `app` gets: an idle one, or one whose owner must cede. Never breaks a guarantee.
template <class P>
concept PlacementPolicy = NamedPolicy<P> && std::movable<P> && requires(P p, const MachineView& machine, AppId app) {
  P();
  { p.Choose(machine, app) } -> std::same_as<PlacementChoice>;
};

}  // namespace sluice
