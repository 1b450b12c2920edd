// plan.h - what is asked of one simulation, and what it found beside latencies.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "apps/simulator/engine/costs.h"
#include "apps/simulator/engine/distribution.h"
#include "apps/simulator/engine/time.h"
#include "policies/views.h"

namespace sluice::sim {

// One app and what is sent to it.
struct AppPlan {
  std::string name = "app";
  ArrivalProcess arrivals;
  ServiceTime service;
  double load = 0;  // of all cores, if `rate` is 0 and the arrivals have none of their own
  double rate = 0;  // requests per second
  uint32_t flows = 10'000;
  Priority priority = Priority::kLatencyCritical;
  // Scheduler `sluice` only.
  uint16_t guaranteed = 0;
  uint16_t max_cores = 0;      // 0: all
  uint16_t batch_threads = 0;  // uthreads that work for ever, in units of `batch_unit`
  Time batch_unit = 10 * kUs;
  Time slice = 0;              // after which a uthread lets others go first; 0: it runs until it is done
  bool install_flows = false;  // all flows are in the table before the first packet
  bool gets_requests = true;
};

struct RunPlan {
  uint16_t cores = 16;
  std::string scheduler = "sluice";
  uint32_t requests = 1'000'000;
  double warm_up = 0.1;  // share of the requests that is not counted
  uint64_t seed = 1;
  Time window = 0;  // latencies over time: one set of figures for each; 0: none
  std::vector<AppPlan> apps;
  std::string scenario, profile;  // the files that this was read from; empty: none
  // Scheduler `sluice` only.
  std::string steering = "rss";
  std::string pick = "memoized";
  std::string congestion = "standing-queue";
  std::string placement = "simple";
  Time interval = 5 * kUs;    // between passes of the allocator
  Time idle_spin = 5 * kUs;   // how long a kthread looks for work before it parks
  bool hyperthreads = false;  // cores 2i and 2i+1 are siblings
  uint16_t nodes = 1;         // NUMA nodes, evenly over the cores
  uint32_t rx_slots = 1024;   // of a kthread's ring
  Costs costs;

  // The app that the flags of a command line concern, and whose inputs stand for the run's: the first that gets
  // requests.
  [[nodiscard]] size_t MainApp() const {
    const auto app = std::find_if(apps.begin(), apps.end(), [](const AppPlan& one) { return one.gets_requests; });
    return app == apps.end() ? 0 : static_cast<size_t>(app - apps.begin());
  }
};

// What the model of the machine counts. Times are sums over the run.
struct MachineFigures {
  uint64_t events = 0;
  uint64_t grants = 0, cedes = 0, signals = 0, steals = 0;
  uint64_t turns = 0, turns_deferred = 0;  // time slices: signals sent, and put off to a later pass
  uint64_t batch_units = 0;
  uint64_t kthread_changed = 0;  // packets steered to another kthread than their flow's last one
  Time io_receive = 0, io_reply = 0, io_poll = 0, io_grant = 0, io_turn = 0;  // the IOKernel's core, by task
  Time end = 0;
};

// Error: a sentence that says what cannot be simulated.
[[nodiscard]] tl::expected<void, std::string> CheckPlan(const RunPlan& plan);

}  // namespace sluice::sim
