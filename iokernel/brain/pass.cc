// pass.cc - one pass of the allocator: read, then decide.
#include <algorithm>
#include <bit>
#include <utility>

#include "iokernel/brain/allocator_impl.h"

namespace sluice {
namespace {

// Inboxes of sleeping apps that are looked at. They are seldom written, so a look is cheap, but each is on a page of
// its own. With n apps asleep a kick is seen after n / kKicksPerLook turns of the loop, at the latest after
// n / kKicksPerPass intervals.
constexpr size_t kKicksPerLook = 4;
constexpr size_t kKicksPerPass = 16;

// Kthreads that are looked at between passes while an app waits for a core: whoever parks gives one back. Their lines
// are written all the time, and each look takes one away from its kthread.
constexpr size_t kParksPerLook = 4;

// Signal lines are written by other cores: each read is a miss, so several are kept under way.
constexpr size_t kPrefetchAhead = 12;

}  // namespace

void Allocator::Impl::Pass(Ticks now) {
  counters.passes.Add();
  last_now = now;
  in_pass = true;
  if (recorder.Turn(now)) [[unlikely]]
    LogSnapshot(now);
  grants_left = options.grants_per_pass;
  if (order_stale) RebuildOrder();
  PollAwake(now);
  EndTurns(now);
  HandleEvents(now);
  if (now >= wheel.earliest()) CheckTimers(now);
  if (!sleeping.empty()) CheckKicks(kKicksPerPass, now);
  if (!wanting.empty()) RecheckWaiting(now);
  if (!ceding.empty()) Escalate(now);
  Judge(now);
  Decide(now);
  in_pass = false;
  backend.Flush();
}

// What need not wait for the interval, because somebody is waiting already: a core that is given back, a timer or a
// kick of an app that sleeps. Congestion is judged at intervals only.
void Allocator::Impl::Urgent(Ticks now) {
  in_pass = true;
  parked.clear();
  for (const Ceding& c : ceding) {
    BrainKthread& kthread = c.app->kthreads[c.kthread];
    if (kthread.issuer.Poll() == abi::GrantEvent::kParked) parked.push_back({kthread.signal, c.app, c.kthread});
  }
  for (const Polled& p : parked) HandlePark(*p.app, p.kthread, now);
  if (SomebodyWasRefused()) LookForParks(now);
  if (now >= wheel.earliest()) CheckTimers(now);
  if (!sleeping.empty()) CheckKicks(kKicksPerLook, now);
  if (std::exchange(news, false)) {
    for (size_t i = 0; i < wanting.size(); i++) {  // a grant may add to it
      BrainApp& app = *wanting[i];
      const ShareView& share = Share(app);
      if (share.held == 0 && share.pending == 0 && !WasRefused(app)) TryAddCore(app, now);
    }
  }
  in_pass = false;
  backend.Flush();
}

// Of n kthreads that run, whoever parks of its own accord is seen after n / kParksPerLook turns of the loop at most.
void Allocator::Impl::LookForParks(Ticks now) {
  if (order_stale) RebuildOrder();
  started.clear();
  parked.clear();
  for (size_t i = 0; i < std::min(order.size(), kParksPerLook); i++) {
    park_cursor = park_cursor + 1 < order.size() ? park_cursor + 1 : 0;
    PollOne(order[park_cursor]);
  }
  HandleEvents(now);
  if (parked.empty()) return;
  candidates.clear();
  for (const AppId id : attached) {
    if (WasRefused(*apps[id])) candidates.push_back(apps[id].get());
  }
  ServeCandidates(now);
}

void Allocator::Impl::RebuildOrder() {
  order.clear();
  for (BrainApp* app : running) {
    for (const KthreadId k : app->awake.span()) order.push_back({app->kthreads[k].signal, app, k});
  }
  order_stale = false;
}

inline void Allocator::Impl::PollOne(const Polled& p) {
  const abi::GrantEvent event = p.app->kthreads[p.kthread].issuer.Poll();
  if (event != abi::GrantEvent::kNone) [[unlikely]] {
    (event == abi::GrantEvent::kParked ? parked : started).push_back(p);
  }
}

void Allocator::Impl::HandleEvents(Ticks now) {
  for (const Polled& p : started) HandleStart(*p.app, p.kthread, now);
  for (const Polled& p : parked) HandlePark(*p.app, p.kthread, now);
}

void Allocator::Impl::PollAwake(Ticks now) {
  started.clear();
  parked.clear();
  segments.clear();
  uint32_t count = 0;
  const size_t polled = order.size();
  for (size_t i = 0; i < std::min(polled, kPrefetchAhead); i++) __builtin_prefetch(order[i].signal);
  for (size_t i = 0; i < polled; i++) {
    if (i + kPrefetchAhead < polled) __builtin_prefetch(order[i + kPrefetchAhead].signal);
    const Polled& p = order[i];
    BrainKthread& kthread = p.app->kthreads[p.kthread];
    PollOne(p);
    if (kthread.issuer.state() != abi::GrantState::kRunning) continue;
    if (segments.empty() || segments.back().app != p.app) segments.push_back({p.app, count, count, Congestion::kKeep});
    KthreadSignals& s = signals[count];
    const abi::SignalLine& line = *p.signal;
    s.rq_head = line.rq_head.load(std::memory_order_relaxed);
    s.rq_tail = line.rq_tail.load(std::memory_order_relaxed);
    SetConsumed(*p.app, p.kthread, line.rx_consumed.load(std::memory_order_relaxed));
    const KthreadView& view = p.app->views[p.kthread];
    s.rx_sent = view.rx_sent;
    s.rx_consumed = view.rx_consumed;
    s.oldest_packet = kthread.oldest.Consumed(view.rx_consumed, view.rx_sent);
    // Another core's counter may be a little ahead, and the app may lie: nothing is younger than now.
    s.oldest_uthread = std::min(line.oldest_ready.load(std::memory_order_relaxed), now);
    s.busy = line.busy_ticks.load(std::memory_order_relaxed);
    s.kthread = p.kthread;
    if (p.app->spec.slice != 0) [[unlikely]]
      WatchTurn(*p.app, p.kthread, s, now);
    segments.back().end = ++count;
  }
}

// A kthread can have taken neither more than was sent nor less than it had before, and what it has not taken fits
// its ring. Anything else is a lie, and what was known stays.
void Allocator::Impl::SetConsumed(BrainApp& app, KthreadId k, uint32_t consumed) {
  KthreadView& view = app.views[k];
  if (view.rx_sent - view.rx_consumed > app.rx_slots) view.rx_consumed = view.rx_sent - app.rx_slots;
  if (consumed - view.rx_consumed <= view.rx_sent - view.rx_consumed) [[likely]] {
    view.rx_consumed = consumed;
    return;
  }
  counters.lies.Add();
  app.counters.lies.Add();
}

void Allocator::Impl::CountStart(BrainApp& app, KthreadId k, Ticks now) {
  const Ticks took = Since(*app.kthreads[k].granted_at, now);
  app.kthreads[k].granted_at.reset();
  counters.starts.Add();
  counters.start_ticks_total.Add(took);
  counters.start_ticks_max.Raise(took);
  const auto bucket = static_cast<size_t>(std::bit_width(took | 1) - 1);
  counters.start_ticks_log2[std::min(bucket, counters.start_ticks_log2.size() - 1)].Add();
  Log(record::RecordType::kStart, app.spec.id, now, record::RecordStart{{}, k, app.views[k].core, 0, took});
}

void Allocator::Impl::HandleStart(BrainApp& app, KthreadId k, Ticks now) {
  CountStart(app, k, now);
  app.kthreads[k].starting = false;
  app.starting--;
  if (app.views[k].steerable) return;
  AddActive(app, k);
  host.OnActiveChange(app.spec.id);
}

void Allocator::Impl::HandlePark(BrainApp& app, KthreadId k, Ticks now) {
  BrainKthread& kthread = app.kthreads[k];
  KthreadView& view = app.views[k];
  const CoreId core = view.core;
  // It ran between two looks, or was asked for the core before it was seen to run.
  if (kthread.granted_at) CountStart(app, k, now);
  const auto cede =
      std::find_if(ceding.begin(), ceding.end(), [&](const Ceding& c) { return c.app == &app && c.kthread == k; });
  const bool ceded = cede != ceding.end();
  if (ceded) {
    const Ticks took = Since(cede->since, now);
    counters.ceded.Add();
    counters.cede_ticks_total.Add(took);
    counters.cede_ticks_max.Raise(took);
    ceding.erase(cede);
  } else {
    machine.Cede(core);  // from now on it does not count as held
    HeldChanged(app);
    if (kthread.starting) {
      kthread.starting = false;
      app.starting--;
    }
  }
  counters.parks.Add();
  app.counters.parks.Add();

  const abi::ParkRecord record = kthread.issuer.Record();
  view.parked = true;
  view.preempted = (record.flags & abi::kParkPreempted) != 0;
  SetAsleep(app, k);
  app.on_core[core] = kNoKthread;
  app.parked_count++;
  app.last_parked = k;
  Log(record::RecordType::kPark, app.spec.id, now,
      record::RecordPark{{}, k, core, view.preempted, ceded, record.next_timer});
  app.pick->OnPark(k, core);
  if (view.preempted) app.preempted.Push(k);
  RemoveActive(app, k);
  host.OnActiveChange(app.spec.id);

  host.OnParked(app.spec.id, k);
  // Only now: what the drain sent to this very kthread counts.
  SetConsumed(app, k, record.rx_consumed);
  if (static_cast<int32_t>(record.kick_seen - app.kick_seen) > 0) app.kick_seen = record.kick_seen;
  if (const auto work = WorkOf(app, k, now)) {
    MarkWaiting(app, k, *work, now);
  } else {
    ArmTimer(app, k);
  }
  if (app.awake.empty()) FallAsleep(app, now);
  FreeCore(core, now);
}

// Asks the congestion policy about each app that runs.
void Allocator::Impl::Judge(Ticks now) {
  for (Segment& segment : segments) {
    const std::span<const KthreadSignals> running(signals.data() + segment.begin, segment.end - segment.begin);
    segment.verdict = policies.congestion->Poll(segment.app->spec.id, running, now);
    segment.app->congested = segment.verdict == Congestion::kAddCore;
  }
  if (recorder.on()) [[unlikely]]
    LogPolls(now);
}

void Allocator::Impl::Decide(Ticks now) {
  news = false;
  const uint64_t pass = counters.passes;
  const auto want = [&](BrainApp* app) {
    if (app->wanted_pass == pass) return;
    if (app->wanted_pass + 1 != pass) app->want_since = now;
    app->wanted_pass = pass;
    candidates.push_back(app);
  };
  candidates.clear();
  for (const Segment& segment : segments) {
    BrainApp& app = *segment.app;
    if (app.congested) want(&app);
    // The last one stays: when it has nothing to do it parks by itself. The newest goes first.
    if (segment.verdict == Congestion::kGiveUp && app.active.size() > 1 && app.waiting.empty()) {
      Cede(app, app.active.back(), kNoApp, now);
    }
  }
  for (BrainApp* app : wanting) want(app);
  ServeCandidates(now);
}

void Allocator::Impl::ServeCandidates(Ticks now) {
  // Whoever is owed a core first, then the latency-critical, then whoever has waited longest.
  const auto rank = [&](const BrainApp* app) {
    const ShareView& share = Share(*app);
    return share.held + share.pending < share.guaranteed ? 0 : share.priority == Priority::kLatencyCritical ? 1 : 2;
  };
  std::sort(candidates.begin(), candidates.end(), [&](const BrainApp* a, const BrainApp* b) {
    const int rank_a = rank(a);
    const int rank_b = rank(b);
    if (rank_a != rank_b) return rank_a < rank_b;
    if (a->want_since != b->want_since) return a->want_since < b->want_since;
    return a->spec.id < b->spec.id;
  });
  for (BrainApp* app : candidates) TryAddCore(*app, now);
}

}  // namespace sluice
