#include "apps/netperf/request_reply.h"

#include <algorithm>

#include "apps/netperf/protocol.h"

namespace sluice::apps {
namespace {

constexpr std::chrono::milliseconds kReplyTimeout{1000};  // then the request counts as lost

}  // namespace

RequestReply::RequestReply(DatagramSocket& socket, const NetperfOptions& options, Clock::time_point begin,
                           Clock::time_point end, uint32_t run)
    : socket_(socket),
      options_(options),
      begin_(begin),
      end_(end),
      run_(run),
      slots_(options.outstanding),
      look_for_lost_at_(Clock::now() + kReplyTimeout),
      request_(options.bytes),
      reply_(kMaxDatagram) {
  for (size_t i = slots_.size(); i > 0; --i) free_.push_back(i - 1);
}

void RequestReply::Run() {
  for (;;) {
    SendWhileFree();
    if (counts_.gone || free_.size() == slots_.size() || StopRequested()) return;
    Receive();
  }
}

void RequestReply::SendWhileFree() {
  while (!free_.empty() && !counts_.gone && !StopRequested()) {
    const Clock::time_point now = Clock::now();
    if (now >= end_) return;
    Slot& slot = slots_[free_.back()];
    slot = {slot.turn + 1, true, now};
    WriteHeader({Kind::kRequest, run_, slot.turn * slots_.size() + free_.back(), 0, 0}, request_);
    free_.pop_back();
    if (now >= begin_) ++counts_.sent;
    const auto sent = socket_.Send(request_, options_.target);
    counts_.gone = !sent && sent.error() == TransportError::kGone;
  }
}

void RequestReply::Receive() {
  const auto received = socket_.Receive(reply_, look_for_lost_at_);
  const Clock::time_point now = Clock::now();
  counts_.gone = !received && received.error() == TransportError::kGone;
  if (now >= look_for_lost_at_) GiveUpLost(now);
  if (!received) return;

  const auto header = ReadHeader(std::span(reply_).first(received->bytes));
  if (!header || header->kind != Kind::kReply || header->run != run_) return;
  const size_t index = header->sequence % slots_.size();
  Slot& slot = slots_[index];
  if (!slot.in_flight || slot.turn != header->sequence / slots_.size()) return;
  slot.in_flight = false;
  free_.push_back(index);
  if (slot.sent < begin_) return;
  ++counts_.received;
  counts_.latency_ns.Record(static_cast<uint64_t>(std::chrono::nanoseconds(now - slot.sent).count()));
}

void RequestReply::GiveUpLost(Clock::time_point now) {
  look_for_lost_at_ = now + kReplyTimeout;
  for (size_t i = 0; i < slots_.size(); ++i) {
    if (!slots_[i].in_flight) continue;
    if (now - slots_[i].sent < kReplyTimeout) {
      look_for_lost_at_ = std::min(look_for_lost_at_, slots_[i].sent + kReplyTimeout);
      continue;
    }
    slots_[i].in_flight = false;
    free_.push_back(i);
  }
}

}  // namespace sluice::apps
