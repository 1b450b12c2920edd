// ledger.h - the books of a run: who is in the system, which cores are busy, and for how long.
//
// A scheduler tells it what happens; nothing here decides. Time goes forward only. Little's law and the utilisation
// law hold between its sums exactly, whatever the scheduler does (tests/sim).
#pragma once

#include <cstdint>
#include <vector>

#include "apps/simulator/engine/request.h"
#include "apps/simulator/engine/statistics.h"

namespace sluice::sim {

// Sums since the start of the run.
struct Totals {
  Time at = 0;
  unsigned __int128 in_system = 0;  // requests x time
  unsigned __int128 held = 0;       // cores held x time
  std::vector<Time> busy;           // by number of busy cores: how long
  uint64_t core_changed = 0;

  [[nodiscard]] unsigned __int128 BusyCoreTime() const {
    unsigned __int128 sum = 0;
    for (size_t n = 0; n < busy.size(); ++n) sum += static_cast<unsigned __int128>(busy[n]) * n;
    return sum;
  }
};

class Ledger {
 public:
  Ledger(uint16_t cores, uint32_t requests, uint32_t warm_up, const std::vector<uint32_t>& flows_by_app)
      : requests_(requests), warm_up_(warm_up), recorders_(flows_by_app.size(), Recorder(requests, warm_up)) {
    now_.busy.resize(cores + size_t{1});
    for (const uint32_t flows : flows_by_app) flow_core_.emplace_back(flows, kNoCore);
  }

  // The measured window lasts from the arrival of the first request that counts to that of the last.
  void Arrived(const Request& request) {
    Advance(request.arrival);
    in_system_++;
    if (request.number == warm_up_) begin_ = now_;
    if (request.number + 1 == requests_) end_ = now_;
  }
  // A core begins to work on a request, or on a part of it; `core` is where its flow is now.
  void Started(const Request& request, uint16_t core, Time now) {
    Advance(now);
    busy_++;
    Moved(request, core);
  }
  void Stopped(Time now) {
    Advance(now);
    busy_--;
  }
  void SetBusy(uint32_t cores, Time now) {
    Advance(now);
    busy_ = cores;
  }
  void SetHeld(uint32_t cores, Time now) {
    Advance(now);
    held_ = cores;
  }
  void Done(const Request& request, Time now) {
    Advance(now);
    in_system_--;
    sojourn_ += now - request.arrival;
    service_ += request.service;
    recorders_[request.app].Done(request, now);
  }
  // A request that never completes.
  void Dropped(Time now) {
    Advance(now);
    in_system_--;
    drops_++;
  }
  // The flow is handled by `core` now. True if it was another one's before.
  bool Moved(const Request& request, uint16_t core) {
    std::vector<uint16_t>& cores = flow_core_[request.app];
    if (cores.empty()) return false;
    const bool changed = cores[request.flow] != core && cores[request.flow] != kNoCore;
    cores[request.flow] = core;
    now_.core_changed += changed;
    return changed;
  }

  [[nodiscard]] const Totals& begin() const { return begin_; }
  [[nodiscard]] const Totals& end() const { return end_; }
  [[nodiscard]] const Totals& all() const { return now_; }
  [[nodiscard]] const std::vector<Recorder>& recorders() const { return recorders_; }
  [[nodiscard]] unsigned __int128 sojourn_sum() const { return sojourn_; }
  [[nodiscard]] unsigned __int128 service_sum() const { return service_; }
  [[nodiscard]] uint64_t drops() const { return drops_; }
  [[nodiscard]] uint64_t in_system() const { return in_system_; }

 private:
  void Advance(Time now) {
    const Time passed = now - now_.at;
    now_.at = now;
    now_.in_system += static_cast<unsigned __int128>(passed) * in_system_;
    now_.held += static_cast<unsigned __int128>(passed) * held_;
    now_.busy[busy_] += passed;
  }

  const uint32_t requests_, warm_up_;
  uint64_t in_system_ = 0;
  uint32_t busy_ = 0, held_ = 0;
  uint64_t drops_ = 0;
  unsigned __int128 sojourn_ = 0, service_ = 0;
  Totals now_, begin_, end_;
  std::vector<Recorder> recorders_;               // by app
  std::vector<std::vector<uint16_t>> flow_core_;  // by app and flow
};

}  // namespace sluice::sim
