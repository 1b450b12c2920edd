// log.cc - what goes into the record of decisions (record_format.h).
#include <algorithm>
#include <new>

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

// In place, field by field: a copy of what was just put together would wait for its stores.
void PutSample(std::byte* out, const KthreadSignals& s, Ticks now) {
  new (out) record::KthreadSample{s.kthread,
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
                           0,
                           app.spec.slice});
}

// The polls of this pass that say something, put together in place. What may be written of samples in a pass is
// bounded on the average: an app with many kthreads overdraws the account, and then nobody's are written until it is
// even again. Apps take turns at being first.
void Allocator::Impl::LogPolls(Ticks now) {
  const size_t count = segments.size();
  sample_credit = std::min<int32_t>(sample_credit + record::kSamplesPerPass, record::kSamplesPerPass);
  if (poll_turn >= count) poll_turn = 0;
  size_t most = count * sizeof(record::RecordPoll);
  for (const Segment& segment : segments) most += (segment.end - segment.begin) * sizeof(record::KthreadSample);
  std::byte* const begin = recorder.Reserve(most, now);
  std::byte* out = begin;
  uint32_t records = 0;
  for (size_t i = 0; i < count; i++) {
    const size_t turn = poll_turn + i;
    const Segment& segment = segments[turn < count ? turn : turn - count];
    BrainApp& app = *segment.app;
    app.polls_unrecorded++;
    const bool fits = sample_credit > 0;
    const bool decided = segment.verdict != Congestion::kKeep;
    if (!fits && !decided) continue;
    const std::span<const KthreadSignals> shown(signals.data() + segment.begin, segment.end - segment.begin);
    const bool queued = Queued(shown);
    const bool quiet = !queued && !app.queued_before && app.polls_unrecorded < record::kQuietPolls;
    app.queued_before = queued;
    if (quiet && !decided) continue;
    records++;
    if (begin == nullptr) continue;
    const auto samples = static_cast<uint16_t>(fits ? shown.size() : 0);
    sample_credit -= samples;
    const auto bytes = static_cast<uint32_t>(sizeof(record::RecordPoll) + samples * sizeof(record::KthreadSample));
    new (out) record::RecordPoll{{RecordType::kPoll, app.spec.id, bytes, now},
                                 static_cast<uint16_t>(segment.verdict),
                                 samples,
                                 app.polls_unrecorded};
    out += sizeof(record::RecordPoll);
    for (uint16_t s = 0; s < samples; s++, out += sizeof(record::KthreadSample)) PutSample(out, shown[s], now);
    app.polls_unrecorded = 0;
  }
  if (begin == nullptr) {
    recorder.Miss(records);
  } else {
    recorder.Publish(static_cast<size_t>(out - begin), records);
    recorder.Warm(static_cast<size_t>(out - begin));  // the next pass will hardly write more
  }
  poll_turn++;
}

}  // namespace sluice
