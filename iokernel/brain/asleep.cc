// asleep.cc - looking after kthreads and apps that have no core: their packets, timers, uthreads and inboxes.
#include <algorithm>

#include "iokernel/brain/allocator_impl.h"

namespace sluice {
namespace {

// Removes the entry at `place` by putting the last one there; `moved` hears who that was.
template <class T, class Moved>
void SwapErase(std::vector<T>& list, size_t place, Moved&& moved) {
  list[place] = list.back();
  list.pop_back();
  if (place < list.size()) moved(list[place]);
}

}  // namespace

// ---------------------------------------------------------------------------------------------------
// Work of parked kthreads.

std::optional<record::Cause> Allocator::Impl::WorkOf(const BrainApp& app, KthreadId k, Ticks now) const {
  using record::Cause;
  const BrainKthread& kthread = app.kthreads[k];
  abi::ParkRecord record = kthread.issuer.Record();
  record.flags = app.views[k].preempted ? uint32_t{abi::kParkPreempted} : 0;
  // The kick word is the app's, not the kthread's: CheckKicks.
  if (abi::WorkWaits(record, app.views[k].rx_sent, record.kick_seen, now)) {
    if (app.views[k].preempted) return Cause::kUthread;
    return record.rx_consumed != app.views[k].rx_sent ? Cause::kPacket : Cause::kTimer;
  }
  // A cede at a safe point may leave runnable uthreads behind.
  if (kthread.signal->rq_head.load(std::memory_order_relaxed) !=
      kthread.signal->rq_tail.load(std::memory_order_relaxed)) {
    return Cause::kUthread;
  }
  return std::nullopt;
}

void Allocator::Impl::MarkWaiting(BrainApp& app, KthreadId k, record::Cause work, Ticks now) {
  if (app.kthreads[k].waits) return;
  app.kthreads[k].waits = true;
  app.kthreads[k].work = work;
  wheel.Disarm(app.kthreads[k].timer);
  app.waiting.Push(k);
  ListWanting(app);
  Log(record::RecordType::kWork, app.spec.id, now, record::RecordWork{{}, k, work, 0});
}

void Allocator::Impl::UnmarkWaiting(BrainApp& app, KthreadId k) {
  if (!app.kthreads[k].waits) return;
  app.kthreads[k].waits = false;
  app.waiting.Remove(k);
}

void Allocator::Impl::ListWanting(BrainApp& app) {
  news = true;
  if (app.listed) return;
  app.listed = true;
  wanting.push_back(&app);
}

// Work of a parked kthread may have been stolen by one that is awake; then nobody need be woken for it.
void Allocator::Impl::RecheckWaiting(Ticks now) {
  std::erase_if(wanting, [&](BrainApp* app) {
    for (size_t i = app->waiting.size(); i-- > 0;) {
      const KthreadId k = app->waiting[i];
      if (WorkOf(*app, k, now)) continue;
      UnmarkWaiting(*app, k);
      ArmTimer(*app, k);
    }
    app->listed = !app->waiting.empty() || app->roused;
    return !app->listed;
  });
}

// ---------------------------------------------------------------------------------------------------
// Their timers. Where another kthread of the app runs, it has one interval to steal a due timer before a core is
// spent on it. The kthread's line says what is left of its timers; a liar only ever wakes itself.

void Allocator::Impl::ArmTimer(BrainApp& app, KthreadId k) {
  wheel.Arm(app.kthreads[k].timer, app.kthreads[k].issuer.Record().next_timer);
}

void Allocator::Impl::CheckTimers(Ticks now) {
  wheel.Expire(now, [&](WheelEntry& entry) {
    BrainApp& app = *apps[entry.app];
    const Ticks due = app.kthreads[entry.kthread].issuer.Record().next_timer;
    const Ticks grace = app.active.empty() ? 0 : options.interval;
    if (due > now) {
      wheel.Arm(entry, due);
    } else if (now - due < grace) {
      wheel.Arm(entry, due + grace);
    } else {
      MarkWaiting(app, entry.kthread, record::Cause::kTimer, now);
    }
  });
}

// ---------------------------------------------------------------------------------------------------
// Inboxes. A kthread that is awake sees the app's inbox itself.

// Nobody of the app has a core any more.
void Allocator::Impl::FallAsleep(BrainApp& app, Ticks now) {
  SLUICE_CHECK(!app.sleeps, "an app that falls asleep twice");
  if (app.line->kick.load(std::memory_order_relaxed) != app.kick_seen) {
    return Rouse(app, record::Cause::kKick, now);
  }
  app.sleeps = true;
  app.place = sleeping.size();
  sleeping.push_back({&app, &app.line->kick, app.kick_seen});
}

void Allocator::Impl::WakeUp(BrainApp& app) {
  if (!app.sleeps) return;
  app.sleeps = false;
  SwapErase(sleeping, app.place, [&](const Sleeping& moved) { moved.app->place = app.place; });
}

// There is work for the app that is no kthread's yet.
void Allocator::Impl::Rouse(BrainApp& app, record::Cause why, Ticks now) {
  WakeUp(app);
  app.roused = true;
  app.roused_by = why;
  ListWanting(app);
  Log(record::RecordType::kWork, app.spec.id, now, record::RecordWork{{}, record::kNobody, why, 0});
}

void Allocator::Impl::CheckKicks(size_t most, Ticks now) {
  const size_t looks = std::min(sleeping.size(), most);
  for (size_t i = 0; i < looks && !sleeping.empty(); i++) {
    if (kick_cursor >= sleeping.size()) kick_cursor = 0;
    const Sleeping& next = sleeping[kick_cursor];
    if (next.kick->load(std::memory_order_relaxed) == next.seen) {
      kick_cursor++;
    } else {
      Rouse(*next.app, record::Cause::kKick, now);  // the last in the list takes its place
    }
  }
  // The lines of the next look have until then to arrive.
  for (size_t i = 0; i < looks && kick_cursor + i < sleeping.size(); i++) {
    __builtin_prefetch(sleeping[kick_cursor + i].kick);
  }
}

// ---------------------------------------------------------------------------------------------------
// Which apps are polled.

void Allocator::Impl::SetAwake(BrainApp& app, KthreadId k) {
  if (app.awake.empty()) {
    WakeUp(app);
    app.place = running.size();
    running.push_back(&app);
  }
  app.awake.Push(k);
  order_stale = true;
}

// FallAsleep follows, once it is known what the last kthread has seen of the inbox.
void Allocator::Impl::SetAsleep(BrainApp& app, KthreadId k) {
  app.awake.Remove(k);
  order_stale = true;
  if (!app.awake.empty()) return;
  SwapErase(running, app.place, [&](BrainApp* moved) { moved->place = app.place; });
}

}  // namespace sluice
