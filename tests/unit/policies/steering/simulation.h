// simulation.h - an app under random schedules whose rings hold real packets, to see which overtake.
//
// Kthreads come and go, take packets at random speeds and report late; bursts are random; the table may be small.
// A kthread parks only with an empty ring (the protocol of abi/grant.h: else it is granted again).
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <random>
#include <unordered_map>

#include "tests/unit/policies/fake_app.h"

namespace sluice::testing {

struct Packet {
  uint32_t flow = 0;
  uint64_t number = 0;  // within its flow
};

// An app on a machine, with rings that hold real packets.
template <class Steering>
class Simulation {
 public:
  Simulation(uint32_t seed, uint32_t table_flows)
      : random_(seed),
        kthreads_(static_cast<uint16_t>(1 + random_() % 8)),
        cores_(static_cast<uint16_t>(kthreads_ + random_() % 5)),
        flows_(1 + random_() % 200),
        app_(kthreads_, cores_),
        rings_(kthreads_),
        steering_({.max_kthreads = kthreads_, .cores = cores_, .flows = table_flows}) {
    for (KthreadId k = 0; k < kthreads_; k++) {
      const auto start = random_() % 2 == 0 ? 0u - random_() % 50 : static_cast<uint32_t>(random_());
      app_.kthread(k).rx_sent = app_.kthread(k).rx_consumed = taken_start_.emplace_back(start);
    }
  }
  virtual ~Simulation() = default;

  void Run(int steps) {
    for (int step = 0; step < steps && !::testing::Test::HasFatalFailure(); step++) {
      switch (random_() % 8) {
        case 0:
          Come();
          break;
        case 1:
          Leave();
          break;
        case 2:
        case 3:
          Burst();
          break;
        case 4:
          steering_.Idle(static_cast<uint32_t>(random_() % 16), 0);
          break;
        default:
          Work();
      }
    }
  }

  uint64_t packets = 0, out_of_order = 0;

 protected:
  virtual void Check(std::span<const uint32_t> /*hash*/, std::span<const KthreadId> /*to*/, const Hints& /*hints*/) {}

  void Come() {
    const auto k = app_.active().empty() ? app_.view().landing : static_cast<KthreadId>(random_() % kthreads_);
    const auto core = static_cast<CoreId>(random_() % cores_);
    if (app_.IsActive(k) || app_.view().on_core[core] != kNoKthread) return;
    app_.Run(k, core);
    steering_.OnActiveChange(app_.view());
  }

  void Leave() {
    if (app_.active().empty()) return;
    const KthreadId k = app_.active()[random_() % app_.active().size()];
    if (!rings_[k].empty()) return;
    Report(k);
    app_.Park(k);
    // Only while nobody holds packets that a new landing kthread could overtake.
    if (app_.active().empty()) app_.set_landing(static_cast<KthreadId>(random_() % kthreads_));
    steering_.OnActiveChange(app_.view());
  }

  void Burst() {
    std::vector<uint32_t> hash(random_() % 80);
    const bool few = random_() % 2 == 0;
    for (uint32_t& h : hash) h = static_cast<uint32_t>(random_() % (few ? 1 + flows_ / 10 : flows_)) * 0x9e3779b1u;
    std::vector<KthreadId> to(hash.size(), kNoKthread);
    steering_.SteerBurst(app_.view(), hash, to, 0, hints_);
    for (size_t i = 0; i < hash.size(); i++) {
      ASSERT_LT(to[i], kthreads_);
      ASSERT_TRUE(app_.active().empty() ? to[i] == app_.view().landing : app_.IsActive(to[i]));
    }
    Check(hash, to, hints_);
    for (size_t i = 0; i < hash.size(); i++) rings_[to[i]].push_back({hash[i], sent_[hash[i]]++});
    app_.Send(to);
    packets += hash.size();
  }

  // One active kthread takes some packets, and perhaps says so.
  void Work() {
    if (app_.active().empty()) return;
    const KthreadId k = app_.active()[random_() % app_.active().size()];
    for (size_t n = random_() % 60; n > 0 && !rings_[k].empty(); n--) {
      const Packet packet = rings_[k].front();
      rings_[k].pop_front();
      uint64_t& next = processed_[packet.flow];
      if (packet.number != next) out_of_order++;
      next = std::max(next, packet.number + 1);
    }
    if (random_() % 2 == 0) Report(k);
  }

  void Report(KthreadId k) {
    app_.kthread(k).rx_consumed = app_.kthread(k).rx_sent - static_cast<uint32_t>(rings_[k].size());
  }

  std::mt19937 random_;
  uint16_t kthreads_, cores_;
  uint32_t flows_;
  FakeApp app_;
  std::vector<std::deque<Packet>> rings_;
  std::vector<uint32_t> taken_start_;
  Hints hints_;
  std::unordered_map<uint32_t, uint64_t> sent_, processed_;
  Steering steering_;
};

}  // namespace sluice::testing
