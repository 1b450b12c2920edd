// log.cc - what goes into the record of decisions (record_format.h).
#include <algorithm>

#include "iokernel/brain/allocator_impl.h"

namespace sluice {
namespace {

using record::RecordType;

bool Queued(std::span<const KthreadSignals> signals) {
  uint32_t queued = 0;
  for (const KthreadSignals& s : signals) queued |= (s.rq_head ^ s.rq_tail) | (s.rx_sent ^ s.rx_consumed);
  return queued != 0;
}

uint32_t Age(Ticks since, Ticks now) {
  if (since == 0) return 0;
  // What has only just come has an age, too.
  return now > since ? static_cast<uint32_t>(std::min<Ticks>(now - since, record::kMaxAge)) : 1;
}

record::KthreadSample Sample(const KthreadSignals& s, Ticks now) {
  return {s.kthread,
          0,
          s.rq_head,
          s.rq_tail,
          s.rx_sent,
          s.rx_consumed,
          Age(s.oldest_packet, now),
          Age(s.oldest_uthread, now),
          static_cast<uint32_t>(s.busy)};
}

}  // namespace

// So that the log can be read on its own.
void Allocator::Impl::LogSnapshot(Ticks now) {
  for (const AppId id : attached) {
    BrainApp& app = *apps[id];
    app.polls_unrecorded = 0;
    app.queued_before = false;
    LogAttach(app, now);
  }
  for (CoreId core = 0; core < options.cores.size(); core++) {
    if (Core(core).owner == kNoApp) continue;
    Log(RecordType::kGrant, Core(core).owner, now,
        record::RecordGrant{{}, Core(core).kthread, core, record::Cause::kSnapshot, 0});
  }
}

void Allocator::Impl::LogAttach(const BrainApp& app, Ticks now) {
  Log(RecordType::kAttach, app.spec.id, now,
      record::RecordAttach{{},
                           app.spec.kthreads,
                           app.spec.guaranteed,
                           static_cast<uint16_t>(app.spec.priority == Priority::kBestEffort),
                           0});
}

// The polls of this pass that say something. Apps take turns at being first, so that none is always left out.
void Allocator::Impl::LogPolls(Ticks now) {
  uint32_t budget = record::kSamplesPerPass;
  const size_t count = segments.size();
  for (size_t i = 0; i < count; i++) {
    const Segment& segment = segments[(poll_turn + i) % count];
    BrainApp& app = *segment.app;
    app.polls_unrecorded++;
    const uint32_t size = segment.end - segment.begin;
    const bool fits = size <= budget;
    const bool decided = segment.verdict != Congestion::kKeep;
    if (!fits && !decided) continue;
    const std::span<const KthreadSignals> shown(signals.data() + segment.begin, size);
    const bool queued = Queued(shown);
    const bool quiet = !queued && !app.queued_before && app.polls_unrecorded < record::kQuietPolls;
    app.queued_before = queued;
    if (quiet && !decided) continue;
    const uint32_t samples = fits ? size : 0;
    budget -= samples;
    const uint32_t bytes = static_cast<uint32_t>(sizeof(record::RecordPoll) + samples * sizeof(record::KthreadSample));
    if (!recorder.Begin(bytes, now)) continue;
    const record::RecordPoll head{{RecordType::kPoll, app.spec.id, bytes, now},
                                  static_cast<uint16_t>(segment.verdict),
                                  static_cast<uint16_t>(samples),
                                  app.polls_unrecorded};
    recorder.Append(&head, sizeof head);
    for (uint32_t s = 0; s < samples; s++) {
      const record::KthreadSample sample = Sample(shown[s], now);
      recorder.Append(&sample, sizeof sample);
    }
    recorder.Publish();
    app.polls_unrecorded = 0;
  }
  poll_turn++;
}

}  // namespace sluice
