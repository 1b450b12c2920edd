// standing_queue.h - an app is congested if an item that was queued at the last check is still queued.
//
// Items are runnable uthreads and packets not yet taken, per kthread. Both queues are first in, first out and
// counted modulo 2^32, so "still queued" is one subtraction: taken so far has not reached produced then. The
// rule of Shenango. It never says kGiveUp: a kthread without work parks by itself.
//
// A kthread is judged only if it was also in the previous poll of its app: one that was away in between, or got a
// new grant, starts afresh. What an app writes into its own counters can only cost or gain itself a core.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "iokernel/abi/check.h"
#include "policies/concepts.h"

namespace sluice {

class StandingQueue {
 public:
  static constexpr std::string_view kName = "standing-queue";
  static constexpr std::string_view kSummary = "another core if something queued at the last check is still queued";

  explicit StandingQueue(const CongestionOptions& /*options*/)
      : polls_(kMaxApps), last_(size_t{kMaxApps} * kMaxCores) {}

  void Attach(AppId app, uint16_t kthreads) {
    SLUICE_CHECK(app < kMaxApps && kthreads <= kMaxCores, "an app outside the bounds of views.h");
    polls_[app] = 0;
    std::fill_n(last_.begin() + size_t{app} * kMaxCores, kthreads, Seen{});
  }
  void Detach(AppId /*app*/) {}

  Congestion Poll(AppId app, std::span<const KthreadSignals> signals, Ticks /*now*/) {
    // 0 means "never": it is skipped when the count wraps.
    const uint32_t previous = polls_[app];
    const uint32_t poll = previous + 1 == 0 ? 1 : previous + 1;
    polls_[app] = poll;
    bool standing = false;
    for (const KthreadSignals& s : signals) {
      Seen& seen = last_[size_t{app} * kMaxCores + s.kthread];
      if (previous != 0 && seen.poll == previous) {
        standing |= static_cast<int32_t>(seen.rq_tail - s.rq_head) > 0;
        standing |= static_cast<int32_t>(seen.rx_sent - s.rx_consumed) > 0;
      }
      seen = {s.rq_tail, s.rx_sent, poll};
    }
    return standing ? Congestion::kAddCore : Congestion::kKeep;
  }
  void OnGrant(AppId /*app*/, Ticks /*now*/) {}

 private:
  struct Seen {
    uint32_t rq_tail = 0;
    uint32_t rx_sent = 0;
    uint32_t poll = 0;  // when; 0: never
  };

  std::vector<uint32_t> polls_;  // by AppId: number of its latest poll
  std::vector<Seen> last_;       // by AppId, KthreadId: all taken at the start, since Attach may not allocate
};

static_assert(CongestionPolicy<StandingQueue>);

}  // namespace sluice
