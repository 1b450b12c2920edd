// kthread.cc - the model of a kthread. The rules are those of runtime/sched: kthread.cc, softirq.cc, steal.cc, park.cc.
//
// What a kthread does between two events happens at the time of the first; `t` runs ahead by what it costs.
#include <algorithm>

#include "apps/simulator/engine/machine.h"
#include "iokernel/abi/check.h"

namespace sluice::sim {
namespace {

constexpr Time kPollInterval = 4 * kUs;
constexpr uint32_t kPacketsPerPoll = 64;
constexpr size_t kMostStolen = 64;

}  // namespace

void Machine::Schedule(Kthread& k, Time when) { events_.Push({when, IndexOf(k), ++k.number}); }

void Machine::Alert(Kthread& k, Time when) {
  if (k.alerted) return;
  k.alerted = true;
  k.app->idle.Set(k.id, false);
  Schedule(k, std::max(when, now_));
}

// There is work that a kthread without any might take.
void Machine::AlertAnyone(App& app, Time when) {
  if (app.idle.empty()) return;
  const uint16_t k = app.idle.From(app.next_idle);
  app.next_idle = static_cast<uint16_t>((k + 1u) % app.kthreads.size());
  Alert(app.kthreads[k], when);
}

void Machine::Begin(Kthread& k) {
  SLUICE_CHECK(k.holder.AwaitGrant([](const auto&, uint32_t) { return false; }), "woken without a grant");
  k.idle_since = k.busy_since = now_;
  if (!k.interrupted) return Loop(k, now_);
  // In the handler that it parked in: either the core is wanted back already, or the uthread goes on.
  if (k.holder.CedeRequested()) return Park(k, abi::kParkPreempted);
  k.interrupted = false;
  RunPart(k, now_, 0);
}

void Machine::Loop(Kthread& k, Time t) {
  k.app->idle.Set(k.id, false);
  k.alerted = false;
  Time look_again = kNever;
  for (;;) {
    if (k.holder.CedeRequested()) return Park(k, 0);
    const bool has_ready = !k.ready.empty() || !k.sliced.empty();
    if (has_ready && t < k.polled + kPollInterval) return RunNext(k, t);
    k.polled = t;
    Publish(k, t);
    Softirq(k, k, &t);
    TakeInbox(k, t);
    // One look per poll at a kthread that may be parked.
    if (++k.looked_at >= k.app->kthreads.size()) k.looked_at = 0;
    Kthread& other = k.app->kthreads[k.looked_at];
    if (other.state == State::kParked && &other != &k) StealFrom(other, k, &t, &look_again);
    if (!k.ready.empty() || !k.sliced.empty()) return RunNext(k, t);
    if (!Steal(k, &t, &look_again)) return GoIdle(k, t, look_again);
  }
}

// The whole ring of `victim`, as far as it can be seen, on k: itself or a thief.
bool Machine::Softirq(Kthread& victim, Kthread& k, Time* t) {
  uint32_t taken = 0;
  while (taken < kPacketsPerPoll && !victim.ring.empty() && victim.ring.front().visible <= *t) {
    const Request request = victim.ring.Pop().request;
    Push(k, {.request = request, .left = request.service, .ready_since = *t});
    taken++;
    *t += costs_.softirq;
  }
  if (taken == 0) return false;
  victim.rx_taken += taken;
  victim.signal->rx_consumed.store(victim.rx_taken, std::memory_order_relaxed);
  UpdateWork(victim);
  if (k.ready.size() > 1) AlertAnyone(*k.app, *t + costs_.ring_hop);
  return true;
}

bool Machine::TakeInbox(Kthread& k, Time t) {
  App& app = *k.app;
  const uint32_t kick = app.line.kick.load(std::memory_order_relaxed);
  if (kick == k.kick_seen) return false;
  k.kick_seen = kick;
  for (Job& job : app.inbox) {
    job.ready_since = t;
    Push(k, job);
  }
  const bool any = !app.inbox.empty();
  app.inbox.clear();
  if (k.ready.size() > 1) AlertAnyone(app, t + costs_.ring_hop);
  return any;
}

// The hyperthread next door first, for it shares the caches; then the others in turn.
bool Machine::Steal(Kthread& k, Time* t, Time* look_again) {
  App& app = *k.app;
  const CoreId sibling = allocator_->cores()[k.holder.core()].sibling;
  if (sibling != kNoCore) {
    const KthreadId neighbour = app.view->on_core[sibling];
    if (neighbour != kNoKthread && neighbour != k.id && StealFrom(app.kthreads[neighbour], k, t, look_again))
      return true;
  }
  for (uint32_t left = app.with_work.size(); left > 0; --left) {
    k.victim = app.with_work.From(static_cast<uint16_t>((k.victim + 1u) % app.kthreads.size()));
    if (k.victim != k.id && StealFrom(app.kthreads[k.victim], k, t, look_again)) return true;
  }
  return false;
}

// Half of the ready uthreads, or the packets of a whole ring.
bool Machine::StealFrom(Kthread& victim, Kthread& k, Time* t, Time* look_again) {
  if (!victim.ready.empty()) {
    const size_t waiting = victim.ready.size();
    const size_t count = std::min(waiting - waiting / 2, kMostStolen);
    for (size_t i = 0; i < count; ++i) {
      Push(k, victim.ready.Pop());
      victim.rq_head++;
    }
    victim.signal->rq_head.store(victim.rq_head, std::memory_order_relaxed);
    UpdateWork(victim);
    *t += costs_.steal;
    figures_.steals++;
    if (!victim.ready.empty() || count > 1) AlertAnyone(*k.app, *t + costs_.ring_hop);
    return true;
  }
  if (victim.ring.empty()) return false;
  if (victim.ring.front().visible > *t) {
    *look_again = std::min(*look_again, victim.ring.front().visible);
    return false;
  }
  *t += costs_.steal;
  figures_.steals++;
  return Softirq(victim, k, t);
}

void Machine::Push(Kthread& k, const Job& job) {
  k.ready.Push(job);
  k.signal->rq_tail.store(++k.rq_tail, std::memory_order_relaxed);
  k.app->with_work.Set(k.id, true);
}

// The one that has been runnable longest.
Machine::Job Machine::Take(Kthread& k) {
  const bool sliced =
      k.ready.empty() || (!k.sliced.empty() && k.sliced.front().ready_since < k.ready.front().ready_since);
  const Job job = sliced ? k.sliced.Pop() : k.ready.Pop();
  k.rq_head++;
  k.signal->rq_head.store(k.rq_head, std::memory_order_relaxed);
  UpdateWork(k);
  return job;
}

void Machine::RunNext(Kthread& k, Time t) {
  k.job = Take(k);
  Time cost = costs_.start;
  if (!k.job.begun) {
    k.job.begun = true;
    std::vector<CoreId>& flow_core = k.app->flow_core;
    if (!k.job.endless && k.job.request.flow < flow_core.size()) {
      CoreId& last = flow_core[k.job.request.flow];
      if (last != k.last_core && last != kNoCore) cost += costs_.cold_flow;
      last = k.last_core;
    }
  }
  RunPart(k, t, cost);
}

void Machine::RunPart(Kthread& k, Time t, Time cost) {
  const Time slice = k.app->plan->slice;
  k.part = slice == 0 ? k.job.left : std::min(slice, k.job.left);
  k.run_until = t + cost + k.part;
  if (k.state != State::kBusy) k.busy_since = now_;
  k.state = State::kBusy;
  ledger_.Started(now_);
  Schedule(k, k.run_until);
}

void Machine::StopRunning(Kthread& k) {
  ledger_.Stopped(now_);
  k.busy += now_ - k.busy_since;
  k.busy_since = k.idle_since = now_;
}

void Machine::EndPart(Kthread& k) {
  StopRunning(k);
  Job& job = k.job;
  job.left -= k.part;
  Time t = now_;
  if (job.left > 0) {
    // The end of a slice. It goes on if nobody else waits here.
    const bool others = !k.ready.empty() || !k.sliced.empty() || (!k.ring.empty() && k.ring.front().visible <= now_);
    if (!others && !k.holder.CedeRequested()) return RunPart(k, now_, 0);
    t += costs_.slice;
    job.ready_since = now_;
    k.sliced.Push(job);
    k.signal->rq_tail.store(++k.rq_tail, std::memory_order_relaxed);
  } else if (job.endless) {
    ledger_.Worked(job.request.service);
    k.app->batch_units++;
    job.left = job.request.service;
    job.ready_since = now_;
    Push(k, job);
  } else {
    ledger_.Done(job.request, now_);
    replies_++;
  }
  Loop(k, t);
}

void Machine::GoIdle(Kthread& k, Time t, Time look_again) {
  // What was seen in its own ring, too.
  if (!k.ring.empty()) look_again = std::min(look_again, k.ring.front().visible);
  const Time deadline = k.idle_since + plan_.idle_spin;
  if (t >= deadline && look_again == kNever) return Park(k, 0);
  k.state = State::kIdle;
  k.app->idle.Set(k.id, true);
  Schedule(k, std::max(now_, t < deadline ? std::min(deadline, look_again) : look_again));
}

// A signal asks for the core back. A uthread that runs is interrupted and stays with its kthread.
void Machine::OnSignal(Kthread& k, uint32_t generation) {
  if (k.holder.generation() != generation || !k.holder.CedeRequested()) return;
  if (k.state != State::kBusy) return;  // it sees the word by itself
  StopRunning(k);
  const Time ahead = k.run_until > now_ ? k.run_until - now_ : 0;
  k.job.left -= k.part - std::min(k.part, ahead);
  k.interrupted = true;
  Park(k, abi::kParkPreempted);
}

void Machine::Park(Kthread& k, uint32_t flags) {
  const bool ceded = k.holder.CedeRequested();
  k.app->idle.Set(k.id, false);
  k.alerted = false;
  k.number++;
  k.state = State::kParked;
  Publish(k, now_);
  if (timeline_ != nullptr) timeline_->Parked(static_cast<CoreId>(k.holder.core()), now_);
  k.holder.Park({.rx_consumed = k.rx_taken, .kick_seen = k.kick_seen, .next_timer = abi::kNoTimer, .flags = flags});
  ledger_.SetHeld(--held_, now_);
  // The loop goes round all the time: a core that was asked for is handed on at once (Allocator::Urgent).
  if (ceded) next_iteration_ = std::min(next_iteration_, std::max(clock_, now_ + costs_.ring_hop));
}

void Machine::Publish(Kthread& k, Time t) {
  const bool none = k.ready.empty();
  k.signal->oldest_ready.store(none ? 0 : ToTicks(k.ready.front().ready_since), std::memory_order_relaxed);
  k.signal->busy_ticks.store(ToTicks(k.busy + (t - k.busy_since) * (k.state == State::kBusy)),
                             std::memory_order_relaxed);
}

}  // namespace sluice::sim
