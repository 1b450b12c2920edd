// costs.h - what things cost in the model of the machine. Every figure is a *modelled cost*: measured once on some
// machine (simulator calibrate) and then a constant; caches and memory are not simulated.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "apps/simulator/engine/time.h"

namespace sluice::sim {

struct Costs {
  // The IOKernel's core.
  Time steer = 50 * kNs;        // a packet: parse, hash, choose, copy, enqueue
  Time flow_lookup = 10 * kNs;  // more, where a table of flows is asked
  Time flow_insert = 60 * kNs;  // more, for the first packet of a flow
  Time reply = 30 * kNs;        // a reply: check, copy, send
  Time pass = 50 * kNs;         // a pass of the allocator
  Time poll = 8 * kNs;          // more, per kthread that it polls
  Time grant = 1500 * kNs;      // a grant: the system calls that wake a kthread
  Time signal = 1200 * kNs;     // a cede signal
  // Between cores.
  Time ring_hop = 150 * kNs;  // from the send of a message to its sight on another core
  Time wake = 5000 * kNs;     // from the grant to the kthread's first instruction
  Time preempt = 3500 * kNs;  // from the signal to its handler
  // A kthread's core.
  Time softirq = 60 * kNs;      // a packet through the protocols, and its uthread made
  Time start = 20 * kNs;        // a switch into a uthread
  Time steal = 250 * kNs;       // a theft that succeeds
  Time slice = 1500 * kNs;      // a uthread interrupted at the end of its slice
  Time cold_core = 1000 * kNs;  // a kthread on another core than its last one
  Time cold_flow = 200 * kNs;   // a request on another core than its flow's last one

  [[nodiscard]] static Costs None();
};

struct CostField {
  std::string_view name;
  Time Costs::*member;
};
[[nodiscard]] const std::array<CostField, 17>& CostFields();

// A profile: one "name_ns = number" per line, TOML. What is not named keeps its default. Error: a sentence.
[[nodiscard]] tl::expected<Costs, std::string> ReadCosts(const std::string& path);
[[nodiscard]] std::string CostsToml(const Costs& costs, std::string_view heading);

}  // namespace sluice::sim
