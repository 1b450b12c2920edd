#include "apps/simulator/engine/request.h"

#include <limits>
#include <utility>

#include "iokernel/abi/check.h"

namespace sluice::sim {
namespace {

constexpr uint32_t kProgressStep = 1 << 14;

}  // namespace

RequestStream::RequestStream(std::vector<Load> loads, uint64_t requests, uint64_t seed, std::atomic<uint64_t>* progress)
    : requests_(static_cast<uint32_t>(requests)), progress_(progress) {
  SLUICE_CHECK(requests <= std::numeric_limits<uint32_t>::max(), "more requests than a run can number");
  uint64_t stream = 1;
  for (Load& load : loads) {
    Source source{.load = std::move(load),
                  .arrivals = Random(seed, stream),
                  .services = Random(seed, stream + 1),
                  .flows = Random(seed, stream + 2),
                  .next = 0};
    stream += 3;
    source.next = source.load.none ? kNever : source.load.arrivals.Next(source.arrivals);
    sources_.push_back(std::move(source));
  }
  FindNext();
}

void RequestStream::FindNext() {
  next_arrival_ = kNever;
  if (taken_ == requests_) return;
  for (AppId i = 0; i < sources_.size(); ++i) {
    if (sources_[i].next >= next_arrival_) continue;
    next_arrival_ = sources_[i].next;
    next_source_ = i;
  }
}

Request RequestStream::Take() {
  Source& source = sources_[next_source_];
  Request request{.arrival = source.next,
                  .service = source.load.service.Draw(source.services),
                  .number = taken_++,
                  .app = next_source_};
  const uint32_t flows = source.load.flows;
  request.flow = flows == 0 ? source.own_flows++ : static_cast<uint32_t>(source.flows.Below(flows));
  source.next = source.load.arrivals.Next(source.arrivals);
  FindNext();
  if (progress_ != nullptr && taken_ % kProgressStep == 0) progress_->fetch_add(kProgressStep);
  return request;
}

}  // namespace sluice::sim
