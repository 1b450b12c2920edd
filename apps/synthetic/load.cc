#include "apps/synthetic/load.h"

#include <algorithm>

namespace sluice::apps {

LoadPlan::LoadPlan(const LoadOptions& options)
    : options_(options),
      schedule_(options.arrivals, options.rate, options.seed),
      random_(~options.seed),
      sequence_(options.flows, 0),
      due_ns_(schedule_.NextNs()) {}

Message LoadPlan::Take() {
  Message message;
  message.run = options_.run;
  message.flow = static_cast<uint32_t>(random_() % options_.flows);
  message.sequence = ++sequence_[message.flow];
  message.due_ns = due_ns_;
  message.service_ns = options_.service.DrawNs(random_);
  if (options_.Measured(due_ns_)) ++planned_;
  due_ns_ = schedule_.NextNs();
  return message;
}

void LoadPlan::OnSent(uint64_t due_ns, uint64_t now_ns) {
  if (!options_.Measured(due_ns)) return;
  ++sent_;
  if (now_ns > due_ns + options_.late_limit_ns) ++late_;
}

void LoadPlan::Report(RunCounts* counts) {
  while (!Done()) {
    if (options_.Measured(due_ns_)) ++planned_;
    due_ns_ = schedule_.NextNs();
  }
  counts->seconds = static_cast<double>(options_.measured_ns) / 1e9;
  counts->planned = planned_;
  counts->sent = sent_;
  counts->late = late_;
  counts->late_limit_ns = options_.late_limit_ns;
}

LoadAccount::LoadAccount(const LoadOptions& options) : options_(options), flows_(options.flows) {}

void LoadAccount::OnReply(const Message& reply, uint64_t now_ns) {
  if (reply.run != options_.run || reply.flow >= flows_.size() || reply.sequence == 0) return;
  const bool measured = options_.Measured(reply.due_ns);
  Flow& flow = flows_[reply.flow];
  bool in_order = true;
  if (reply.sequence > flow.newest) {
    const uint32_t skipped = std::min(reply.sequence - flow.newest - 1, Flow::kWindow);
    for (uint32_t i = 1; i <= skipped; ++i) flow.At(reply.sequence - i) = Flow::kAbsent;
    flow.newest = reply.sequence;
    flow.At(reply.sequence) = reply.steered;
  } else {
    in_order = false;
    if (flow.Known(reply.sequence)) {
      if (measured) ++duplicates_;
      return;
    }
    if (flow.newest - reply.sequence < Flow::kWindow) flow.At(reply.sequence) = reply.steered;
  }
  ++replies_;
  if (!measured) return;

  ++received_;
  latency_ns_.Record(now_ns > reply.due_ns ? now_ns - reply.due_ns : 0);
  if (!in_order) ++out_of_order_;
  if (reply.steered == kNoKthread) {
    ++nameless_;
    return;
  }
  if (flow.Changed(reply.sequence - 1, reply.sequence)) ++changed_;
  if (flow.Changed(reply.sequence, reply.sequence + 1)) ++changed_;
  if (reply.executing != reply.steered) ++stolen_;
}

void LoadAccount::Merge(const LoadAccount& other) {
  latency_ns_.Merge(other.latency_ns_);
  replies_ += other.replies_;
  received_ += other.received_;
  out_of_order_ += other.out_of_order_;
  duplicates_ += other.duplicates_;
  changed_ += other.changed_;
  stolen_ += other.stolen_;
  nameless_ += other.nameless_;
}

void LoadAccount::Report(RunCounts* counts) const {
  counts->received = received_;
  counts->out_of_order = out_of_order_;
  counts->duplicates = duplicates_;
  if (nameless_ == 0 && received_ != 0) {
    counts->packets_core_changed = changed_;
    counts->packets_stolen = stolen_;
  }
}

}  // namespace sluice::apps
