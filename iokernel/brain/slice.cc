// slice.cc - time slices: ends the turn of a uthread that has run for a slice while others of its kthread wait.
//
// A turn is counted by the run queue's head, which the kthread's signal line shows anyway. Seen from here a turn begins
// at the pass that finds the head moved, so a slice is up to one interval longer than asked for; and it ends only if
// something has waited for two passes, for a kthread that is between two uthreads takes what has just come by itself.
// A kthread that cannot end the turn where it was interrupted is asked again after another slice.
//
// Each end is a system call of the loop, which can spend one every slice_spacing. Where more are wanted the longest
// turns end first, and the others last longer.
#include <algorithm>
#include <utility>

#include "iokernel/brain/allocator_impl.h"

namespace sluice {

void Allocator::Impl::WatchTurn(BrainApp& app, KthreadId k, const KthreadSignals& s, Ticks now) {
  BrainKthread& kthread = app.kthreads[k];
  Turn& turn = kthread.turn;
  // Of what plain pthreads wake the IOKernel knows only that there was something; a kthread looks between turns.
  const uint32_t kick = app.line->kick.load(std::memory_order_relaxed);
  if (s.rq_head != turn.rq_head || kthread.issuer.generation() != turn.generation) {
    turn = {s.rq_head, kthread.issuer.generation(), kick, now};
    return;
  }
  const bool waits = s.rq_head != s.rq_tail || kthread.signal->set_aside.load(std::memory_order_relaxed) != 0 ||
                     s.rx_sent != s.rx_consumed || kick != turn.kick ||
                     kthread.signal->next_timer.load(std::memory_order_relaxed) <= now;
  const bool waited = std::exchange(turn.others_wait, waits);
  if (waits && waited && Since(turn.since, now) >= app.spec.slice) due_turns.push_back({&app, k, turn.since});
}

void Allocator::Impl::EndTurns(Ticks now) {
  slice_credit = std::min(slice_credit + Since(std::exchange(slice_credited, now), now),
                          options.slices_at_once * options.slice_spacing);
  if (due_turns.empty()) return;
  std::sort(due_turns.begin(), due_turns.end(), [](const DueTurn& a, const DueTurn& b) { return a.since < b.since; });
  for (const DueTurn& due : due_turns) {
    BrainApp& app = *due.app;
    BrainKthread& kthread = app.kthreads[due.kthread];
    Turn& turn = kthread.turn;
    if (slice_credit < options.slice_spacing) {
      if (!std::exchange(turn.put_off, true)) counters.slices_deferred.Add();
      continue;
    }
    slice_credit -= options.slice_spacing;
    turn.since = now;
    turn.put_off = false;
    kthread.issuer.EndTurn(turn.rq_head);
    backend.EndTurn(app.spec.id, due.kthread);
    const CoreId core = app.views[due.kthread].core;
    Log(record::RecordType::kTurn, app.spec.id, now,
        record::RecordTurn{{}, due.kthread, core, 0, Since(due.since, now)});
    counters.slices.Add();
    app.counters.slices.Add();
  }
  due_turns.clear();
}

}  // namespace sluice
