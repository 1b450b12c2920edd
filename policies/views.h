// views.h - what a policy may see, and the little it may say.
//
// Policies are values: state inside, time as an argument, effects returned or put into a bounded out-list.
// They know neither ports nor the OS. The allocator (iokernel/brain) keeps these views up to date; a policy
// never writes to them.
#pragma once

#include <bitset>
#include <cstdint>
#include <span>

#include "iokernel/abi/clock.h"

namespace sluice {

using abi::Ticks;

using AppId = uint16_t;
using KthreadId = uint16_t;
using CoreId = uint16_t;  // a core slot: a managed CPU, or one of several slots on one

inline constexpr uint16_t kMaxApps = 256;
inline constexpr uint16_t kMaxCores = 1024;
inline constexpr AppId kNoApp = 0xffff;
inline constexpr KthreadId kNoKthread = 0xffff;
inline constexpr CoreId kNoCore = 0xffff;

using CoreSet = std::bitset<kMaxCores>;

enum class Priority : uint8_t { kLatencyCritical, kBestEffort };

// One kthread, as steering and pick see it.
struct KthreadView {
  bool steerable = false;    // packets may go to it now
  bool parked = true;        // has no core
  bool preempted = false;    // parked inside a uthread: picked before any rule
  CoreId core = kNoCore;     // the core it has, or had last
  uint32_t rx_sent = 0;      // RX messages ever sent to it, modulo 2^32
  uint32_t rx_consumed = 0;  // RX messages it is known to have taken, modulo 2^32
};

// One app, as steering and pick see it.
struct AppView {
  AppId id = kNoApp;
  uint16_t max_kthreads = 0;
  std::span<const KthreadId> active;      // the steerable kthreads, in the order in which they became so
  std::span<const KthreadView> kthreads;  // by KthreadId
  std::span<const KthreadId> on_core;     // by CoreId: this app's kthread that has the core, or kNoKthread
  KthreadId landing = kNoKthread;         // takes the packets while nobody is active; it runs next
};

// What a steering policy may wish for. Wishes are honoured when the allocator gives a core anyway.
struct Hints {
  CoreSet wanted;  // cores whose flows have packets but whose kthread is away
};

// The state of one running kthread in a pass of the allocator.
struct KthreadSignals {
  uint32_t rq_head = 0;  // run queue: taken, modulo 2^32
  uint32_t rq_tail = 0;  // run queue: made runnable, modulo 2^32
  uint32_t rx_sent = 0;
  uint32_t rx_consumed = 0;
  Ticks oldest_packet = 0;   // when the oldest packet not yet consumed was enqueued; 0: none
  Ticks oldest_uthread = 0;  // when the oldest runnable uthread became so; 0: none
  Ticks busy = 0;            // ticks spent working since attach
  KthreadId kthread = kNoKthread;
};

// What a congestion policy says about one app.
enum class Congestion : uint8_t {
  kKeep,     // as many cores as now
  kAddCore,  // work waits that another core could do
  kGiveUp,   // could do with one core less
};

// A core slot as it was described at the start.
struct CoreSpec {
  uint16_t cpu = 0;
  uint16_t node = 0;         // NUMA node
  CoreId sibling = kNoCore;  // the other hyperthread of the same physical core, if managed
};

// One core and one app, as placement sees them.
struct CoreView {
  AppId owner = kNoApp;  // the app whose kthread has it
  KthreadId kthread = kNoKthread;
  AppId promised = kNoApp;  // being taken back for this app
  bool ceding = false;
  CoreId sibling = kNoCore;
  uint16_t node = 0;
  uint16_t cpu = 0;
  AppId last_owner = kNoApp;
  Ticks owned_since = 0;
  CoreId older = kNoCore;  // of AppCores::held: the one granted before this one,
  CoreId newer = kNoCore;  // and after it
};

struct ShareView {
  bool attached = false;
  uint16_t guaranteed = 0;
  uint16_t max = 0;
  uint16_t held = 0;     // cores it has, those it is about to give back not counted
  uint16_t pending = 0;  // cores promised to it
  Priority priority = Priority::kLatencyCritical;
  const CoreSet* wanted = nullptr;  // Hints::wanted of its steering policy
};

// The cores of one app.
struct AppCores {
  CoreSet held;             // that it has, and that are not changing hands: neither ceding nor promised
  CoreSet last;             // that it had last (and has again, perhaps)
  CoreSet beside;           // whose sibling it has
  CoreId newest = kNoCore;  // of held: the one granted last; CoreView::older leads to the others
};

struct MachineView {
  std::span<const CoreView> cores;                   // by CoreId
  std::span<const ShareView> apps;                   // by AppId
  std::span<const AppId> attached;                   // in no order
  std::span<const AppCores> app_cores;               // by AppId
  const CoreSet* idle = nullptr;                     // that nobody has and that are promised to nobody
  const CoreSet* near_nic = nullptr;                 // on the NIC's NUMA node
  const CoreSet* beside_latency_critical = nullptr;  // whose sibling such an app has
  const CoreSet* beside_best_effort = nullptr;
};

// A placement decision. core == kNoCore: there is none to give. preempt: its owner must cede it first.
struct PlacementChoice {
  CoreId core = kNoCore;
  bool preempt = false;
};

}  // namespace sluice
