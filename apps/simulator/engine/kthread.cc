// kthread.cc - the model of a kthread. The rules are those of runtime/sched: kthread.cc, softirq.cc, steal.cc, park.cc,
// slice.cc.
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
  if (TurnEnds(k)) return SetAside(k);
  Run(k, now_, 0);
}

void Machine::Loop(Kthread& k, Time t) {
  k.app->idle.Set(k.id, false);
  k.alerted = false;
  Time look_again = kNever;
  for (;;) {
    // Those that were set aside wait for this very kthread.
    if (k.holder.CedeRequested()) return Park(k, k.set_aside.empty() ? 0 : uint32_t{abi::kParkPreempted});
    const auto runnable = [&k] { return !k.ready.empty() || !k.set_aside.empty(); };
    if (runnable() && t < k.polled + kPollInterval) return RunOldest(k, t);
    Poll(k, &t, &look_again);
    if (runnable()) return RunOldest(k, t);
    if (!Steal(k, &t, &look_again)) return GoIdle(k, t, look_again);
  }
}

// Everything that can make uthreads runnable here.
void Machine::Poll(Kthread& k, Time* t, Time* look_again) {
  k.polled = *t;
  Publish(k, *t);
  Softirq(k, k, t);
  TakeInbox(k, *t);
  // One look per poll at a kthread that may be parked.
  if (++k.looked_at >= k.app->kthreads.size()) k.looked_at = 0;
  Kthread& other = k.app->kthreads[k.looked_at];
  if (other.state == State::kParked && &other != &k) StealFrom(other, k, t, look_again);
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
void Machine::RunOldest(Kthread& k, Time t) {
  if (k.set_aside.empty() || (!k.ready.empty() && k.ready.front().ready_since <= k.set_aside.front().ready_since)) {
    return RunReady(k, t);
  }
  k.job = k.set_aside.Pop();
  PublishSetAside(k);
  k.signal->rq_tail.store(++k.rq_tail, std::memory_order_relaxed);  // every turn moves the head
  k.signal->rq_head.store(++k.rq_head, std::memory_order_relaxed);
  Run(k, t, costs_.start);
}

void Machine::RunReady(Kthread& k, Time t) {
  k.job = k.ready.Pop();
  k.signal->rq_head.store(++k.rq_head, std::memory_order_relaxed);
  UpdateWork(k);
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
  Run(k, t, cost);
}

void Machine::Run(Kthread& k, Time t, Time cost) {
  k.run_until = t + cost + k.job.left;
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

void Machine::Finish(Kthread& k) {
  StopRunning(k);
  Time t = now_;
  Job& job = k.job;
  const bool loop_is_due = k.holder.CedeRequested() || t >= k.polled + kPollInterval;
  if (job.endless) {
    ledger_.Worked(job.request.service);
    k.app->batch_units++;
    // It yields.
    Time look_again = kNever;
    if (loop_is_due && !k.holder.CedeRequested()) Poll(k, &t, &look_again);
    job.left = job.request.service;
    job.ready_since = t;
    Push(k, job);
  } else {
    ledger_.Done(job.request, now_);
    replies_++;
  }
  // Uthreads switch among themselves; only the loop looks at those that were set aside.
  if (!loop_is_due && !k.ready.empty()) return RunReady(k, t);
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

// A signal: the core is wanted back, or the turn is over. A uthread that it interrupts stays with its kthread.
void Machine::OnSignal(Kthread& k, uint32_t generation) {
  // One that looks for work sees the words by itself.
  if (k.holder.generation() != generation || k.state != State::kBusy) return;
  const bool cede = k.holder.CedeRequested();
  const Time ahead = k.run_until > now_ ? k.run_until - now_ : 0;
  const bool begun = ahead <= k.job.left;  // the loop is not interrupted
  if (!cede && !(begun && TurnEnds(k))) return;
  StopRunning(k);
  k.job.left = std::min(k.job.left, ahead);
  if (!cede) return SetAside(k);
  k.interrupted = true;
  Park(k, abi::kParkPreempted);
}

// The uthread that runs shall let others go first, and there are any.
bool Machine::TurnEnds(const Kthread& k) const {
  const bool packets_wait = !k.ring.empty() && k.ring.front().visible <= now_;
  return k.holder.TurnOver() && (!k.ready.empty() || !k.set_aside.empty() || packets_wait ||
                                 k.app->line.kick.load(std::memory_order_relaxed) != k.kick_seen);
}

// In the handler that it was interrupted by. What has come meanwhile goes first.
void Machine::SetAside(Kthread& k) {
  Time t = now_ + costs_.slice;
  Time look_again = kNever;
  Poll(k, &t, &look_again);
  k.job.ready_since = t;
  k.set_aside.Push(k.job);
  PublishSetAside(k);
  Loop(k, t);
}

void Machine::PublishSetAside(Kthread& k) {
  k.signal->set_aside.store(static_cast<uint32_t>(k.set_aside.size()), std::memory_order_relaxed);
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
