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
  unsigned __int128 work = 0;       // done: the service times of what is complete
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
  // `window`: of the series of latencies over time; 0: none.
  Ledger(uint16_t cores, uint32_t requests, uint32_t warm_up, const std::vector<uint32_t>& flows_by_app,
         Time window = 0)
      : requests_(requests),
        warm_up_(warm_up),
        recorders_(flows_by_app.size(), Recorder(requests, warm_up)),
        series_(window) {
    now_.busy.resize(cores + size_t{1});
    for (const uint32_t flows : flows_by_app) flow_last_.emplace_back(flows, kNoCore);
  }

  // Noticed at `now`, at or after its arrival. The measured window lasts from the first request that counts to the
  // last.
  void Arrived(const Request& request, Time now) {
    Advance(now);
    now_.in_system += now - request.arrival;
    in_system_++;
    if (request.number == warm_up_) begin_ = now_;
    if (request.number + 1 == requests_) end_ = now_;
  }
  // The request goes to core `where`.
  void Steered(const Request& request, uint16_t where) {
    std::vector<uint16_t>& last = flow_last_[request.app];
    if (last.empty()) return;
    now_.core_changed += last[request.flow] != where && last[request.flow] != kNoCore;
    last[request.flow] = where;
  }
  // A core begins to work on a request, or on a part of it.
  void Started(Time now) {
    Advance(now);
    busy_++;
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
    now_.work += request.service;
    recorders_[request.app].Done(request, now);
    series_.Done(request, now);
  }
  // A request that never completes.
  void Dropped(Time now) {
    Advance(now);
    in_system_--;
    drops_++;
  }
  // Work that is nobody's request.
  void Worked(Time work) { now_.work += work; }

  [[nodiscard]] const Totals& begin() const { return begin_; }
  [[nodiscard]] const Totals& end() const { return end_; }
  [[nodiscard]] const Totals& all() const { return now_; }
  [[nodiscard]] const std::vector<Recorder>& recorders() const { return recorders_; }
  [[nodiscard]] const Series& series() const { return series_; }
  [[nodiscard]] unsigned __int128 sojourn_sum() const { return sojourn_; }
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
  unsigned __int128 sojourn_ = 0;
  Totals now_, begin_, end_;
  std::vector<Recorder> recorders_;  // by app
  Series series_;
  std::vector<std::vector<uint16_t>> flow_last_;  // by app and flow: where the last request went
};

}  // namespace sluice::sim
