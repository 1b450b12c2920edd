// load.h - the client's two halves without sockets: what is sent when, and what the replies say.
//
// Threads: a LoadPlan belongs to the sender. Of LoadAccounts there may be one per receiver; each flow's replies
// go to one of them, and they are merged at the end.
//
// Times are nanoseconds after the client's start. Only requests that are due after the warm-up are counted; the
// order of a flow's packets is followed from the first one on.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "apps/lib/arrival.h"
#include "apps/lib/result.h"
#include "apps/lib/service.h"
#include "apps/synthetic/message.h"

namespace sluice::apps {

struct LoadOptions {
  double rate = 10'000;  // requests per second
  uint32_t flows = 1000;
  uint64_t warmup_ns = 1'000'000'000;
  uint64_t measured_ns = 5'000'000'000;
  ArrivalKind arrivals = ArrivalKind::kPoisson;
  ServiceTime service;
  uint64_t seed = 1;
  uint32_t run = 0;
  uint64_t late_limit_ns = 50'000;

  [[nodiscard]] uint64_t end_ns() const { return warmup_ns + measured_ns; }
  [[nodiscard]] bool Measured(uint64_t due_ns) const { return due_ns >= warmup_ns && due_ns < end_ns(); }
};

class LoadPlan {
 public:
  explicit LoadPlan(const LoadOptions& options);

  [[nodiscard]] bool Done() const { return due_ns_ >= options_.end_ns(); }
  [[nodiscard]] uint64_t due_ns() const { return due_ns_; }  // of the next request

  // The next request. Not when Done().
  [[nodiscard]] Message Take();

  // It left at `now_ns`.
  void OnSent(uint64_t due_ns, uint64_t now_ns);

  // Puts planned, sent and late, with those never taken counted as planned.
  void Report(RunCounts* counts);

 private:
  LoadOptions options_;
  ArrivalSchedule schedule_;
  std::mt19937_64 random_;
  std::vector<uint32_t> sequence_;  // last one used, by flow
  uint64_t due_ns_;
  uint64_t planned_ = 0, sent_ = 0, late_ = 0;
};

class LoadAccount {
 public:
  explicit LoadAccount(const LoadOptions& options);

  void OnReply(const Message& reply, uint64_t now_ns);
  void Merge(const LoadAccount& other);

  [[nodiscard]] uint64_t replies() const { return replies_; }  // in the warm-up, too
  [[nodiscard]] const abi::Histogram& latency_ns() const { return latency_ns_; }
  void Report(RunCounts* counts) const;

 private:
  // The kthreads of a flow's last few packets, by sequence: enough to compare neighbours that arrive swapped.
  struct Flow {
    static constexpr uint32_t kWindow = 4;
    static constexpr uint16_t kAbsent = 0xfffe;
    uint32_t newest = 0;  // highest sequence seen; 0: none
    uint16_t steered[kWindow] = {kAbsent, kAbsent, kAbsent, kAbsent};

    [[nodiscard]] uint16_t& At(uint32_t sequence) { return steered[sequence % kWindow]; }
    // The kthread of that packet, or something that equals none if its reply is not (or no more) known.
    [[nodiscard]] bool Known(uint32_t sequence) const {
      return sequence != 0 && sequence <= newest && newest - sequence < kWindow &&
             steered[sequence % kWindow] != kAbsent;
    }
    [[nodiscard]] bool Changed(uint32_t earlier, uint32_t later) const {
      return Known(earlier) && Known(later) && steered[earlier % kWindow] != steered[later % kWindow];
    }
  };

  LoadOptions options_;
  std::vector<Flow> flows_;
  abi::Histogram latency_ns_;
  uint64_t replies_ = 0;
  uint64_t received_ = 0, out_of_order_ = 0, duplicates_ = 0, changed_ = 0, stolen_ = 0, nameless_ = 0;
};

}  // namespace sluice::apps
