// request.h - one simulated request, and the stream of them that apps send.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "apps/simulator/engine/distribution.h"
#include "apps/simulator/engine/random.h"
#include "apps/simulator/engine/time.h"
#include "policies/views.h"

namespace sluice::sim {

struct Request {
  Time arrival = 0;
  Time service = 0;
  uint32_t flow = 0;    // of its app
  uint32_t number = 0;  // in the order of arrival, over all apps
  AppId app = 0;
};

// What is sent to one app.
struct Load {
  ArrivalProcess arrivals;  // its rate is set
  ServiceTime service;
  uint32_t flows = 0;  // 0: every request is of a flow of its own
  bool none = false;   // an app that is sent nothing
};

// The requests of all apps in the order of their arrival. Which flow, how long and when are drawn from sequences of
// their own, so that the same seed offers every scheduler the same work.
class RequestStream {
 public:
  // `progress`, if there is one, counts what was taken, for another thread to look at.
  RequestStream(std::vector<Load> loads, uint64_t requests, uint64_t seed, std::atomic<uint64_t>* progress = nullptr);

  // kNever if there is none left.
  [[nodiscard]] Time NextArrival() const { return next_arrival_; }
  // Precondition: there is one left.
  Request Take();

 private:
  struct Source {
    Load load;
    Random arrivals, services, flows;
    Time next;
    uint32_t own_flows = 0;
  };
  void FindNext();

  std::vector<Source> sources_;
  AppId next_source_ = 0;
  Time next_arrival_ = kNever;
  uint32_t taken_ = 0;
  uint32_t requests_;
  std::atomic<uint64_t>* progress_;
};

}  // namespace sluice::sim
