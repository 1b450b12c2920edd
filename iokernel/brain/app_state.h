// app_state.h - one attached app as the allocator holds it. Not for use outside iokernel/brain.
//
// All memory is taken when it is made (Allocator::Prepare), every list at its full size.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "iokernel/brain/allocator.h"
#include "iokernel/brain/oldest_packet.h"
#include "iokernel/brain/record_format.h"
#include "iokernel/brain/timer_wheel.h"
#include "policies/registry.h"

namespace sluice {

// A short list of kthreads in order. Never allocates: its room is the app's number of kthreads.
class KthreadList {
 public:
  explicit KthreadList(uint16_t kthreads) { ids_.reserve(kthreads); }

  void Push(KthreadId k) { ids_.push_back(k); }
  void Remove(KthreadId k) {
    const auto at = std::find(ids_.begin(), ids_.end(), k);
    if (at != ids_.end()) ids_.erase(at);
  }
  [[nodiscard]] bool Contains(KthreadId k) const { return std::find(ids_.begin(), ids_.end(), k) != ids_.end(); }
  [[nodiscard]] bool empty() const { return ids_.empty(); }
  [[nodiscard]] size_t size() const { return ids_.size(); }
  [[nodiscard]] KthreadId front() const { return ids_.front(); }
  [[nodiscard]] KthreadId back() const { return ids_.back(); }
  [[nodiscard]] KthreadId operator[](size_t i) const { return ids_[i]; }
  [[nodiscard]] std::span<const KthreadId> span() const { return ids_; }

 private:
  std::vector<KthreadId> ids_;
};

// What runs on a kthread of an app with time slices, as the last pass saw it.
struct Turn {
  uint32_t rq_head = 0;
  uint32_t generation = 0;  // of the grant
  uint32_t kick = 0;        // the app's kick word when it began
  Ticks since = 0;          // when it began, or was last asked to end
  bool others_wait = false;
  bool put_off = false;  // it has had its slice, and goes on
};

// What the allocator alone knows of a kthread. The rest of it is in the KthreadView of the same index.
struct alignas(64) BrainKthread {
  abi::GrantIssuer issuer;
  const abi::SignalLine* signal = nullptr;
  std::optional<Ticks> granted_at;              // until it was seen to run
  bool starting = false;                        // granted, not yet acknowledged, not ceding
  bool waits = false;                           // parked with work: in BrainApp::waiting
  bool evicted = false;                         // pushed off its core: never granted again
  record::Cause work = record::Cause::kPacket;  // what it waits with
  OldestPacket oldest;
  BrainCounter grants;
  Turn turn;
  WheelEntry timer;  // armed only while it is parked and does not wait
};

class BrainApp {
 public:
  BrainApp(const AppSpec& app_spec, const AppMemory& memory, uint16_t cores, std::unique_ptr<PickInterface> pick_policy)
      : spec(app_spec),
        line(memory.line),
        rx_slots(memory.rx_slots),
        pick(std::move(pick_policy)),
        kthreads(app_spec.kthreads),
        views(app_spec.kthreads),
        on_core(cores, kNoKthread),
        active(app_spec.kthreads),
        awake(app_spec.kthreads),
        waiting(app_spec.kthreads),
        preempted(app_spec.kthreads),
        parked_count(app_spec.kthreads) {
    for (uint16_t k = 0; k < app_spec.kthreads; k++) {
      kthreads[k].timer.app = app_spec.id;
      kthreads[k].timer.kthread = k;
      kthreads[k].signal = memory.kthreads[k].signal;
      kthreads[k].issuer = abi::GrantIssuer(memory.kthreads[k].signal, memory.kthreads[k].grant);
    }
    view.id = app_spec.id;
    view.max_kthreads = app_spec.kthreads;
    view.kthreads = views;
    view.on_core = on_core;
    view.landing = 0;
  }

  const AppSpec spec;
  const abi::AppLine* const line;
  const uint32_t rx_slots;
  const std::unique_ptr<PickInterface> pick;

  std::vector<BrainKthread> kthreads;  // by KthreadId, as are the views
  std::vector<KthreadView> views;
  std::vector<KthreadId> on_core;  // by CoreId
  KthreadList active;              // steerable
  KthreadList awake;               // holding a core: granted, running or ceding
  KthreadList waiting;             // parked with work
  KthreadList preempted;           // parked inside a uthread, the longest parked first; part of waiting
  AppView view;

  uint16_t parked_count;  // kthreads that could be granted
  uint16_t starting = 0;  // granted, not yet acknowledged, not ceding
  KthreadId last_parked = 0;
  uint32_t kick_seen = 0;  // newest value of the kick word after which the inbox was found empty
  bool roused = false;     // nobody is awake, and the inbox has something or packets have come
  record::Cause roused_by = record::Cause::kKick;
  bool congested = false;         // what the congestion policy said last
  bool listed = false;            // in Impl::wanting
  size_t place = 0;               // in Impl::running or Impl::sleeping
  bool sleeps = false;            // in Impl::sleeping
  uint64_t refused_pass = ~0ull;  // the pass in which there was last no core for it
  uint64_t wanted_pass = 0;       // the pass in which it last wanted one
  Ticks want_since = 0;           // since when it has wanted one in every pass
  uint32_t polls_unrecorded = 0;  // since the last one in the log
  bool queued_before = false;     // something was queued at the poll before this one; kept while recording
  AppGrantCounters counters;
};

}  // namespace sluice
