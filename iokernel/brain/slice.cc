// slice.cc - time slices: ends the turn of a uthread that has run for a slice while others of its kthread wait.
//
// A turn is counted by the run queue's head, which the kthread's signal line shows anyway. Seen from here a turn begins
// at the pass that finds the head moved, so a slice is up to one interval longer than asked for; and it ends only if
// something has waited for two passes, for a kthread that is between two uthreads takes what has just come by itself.
// A kthread that cannot end the turn where it was interrupted is asked again after another slice.
#include <utility>

#include "iokernel/brain/allocator_impl.h"

namespace sluice {

void Allocator::Impl::WatchTurn(BrainApp& app, KthreadId k, const KthreadSignals& s, Ticks now) {
  BrainKthread& kthread = app.kthreads[k];
  Turn& turn = kthread.turn;
  // Of what plain pthreads wake the IOKernel knows only that there was something; a kthread looks between turns.
  const uint32_t kick = app.line->kick.load(std::memory_order_relaxed);
  if (s.rq_head != turn.rq_head || kthread.issuer.generation() != turn.generation) {
    turn = {s.rq_head, kthread.issuer.generation(), kick, now, false};
    return;
  }
  const bool waits = s.rq_head != s.rq_tail || kthread.signal->set_aside.load(std::memory_order_relaxed) != 0 ||
                     s.rx_sent != s.rx_consumed || kick != turn.kick ||
                     kthread.signal->next_timer.load(std::memory_order_relaxed) <= now;
  const bool waited = std::exchange(turn.others_wait, waits);
  if (!waits || !waited || Since(turn.since, now) < app.spec.slice) return;
  if (slices_left == 0) {
    counters.slices_deferred.Add();
    return;
  }
  slices_left--;
  const Ticks ran = Since(turn.since, now);
  turn.since = now;
  kthread.issuer.EndTurn(s.rq_head);
  backend.EndTurn(app.spec.id, k);
  Log(record::RecordType::kTurn, app.spec.id, now, record::RecordTurn{{}, k, app.views[k].core, 0, ran});
  counters.slices.Add();
  app.counters.slices.Add();
}

}  // namespace sluice
