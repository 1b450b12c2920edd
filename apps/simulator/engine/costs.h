// costs.h - what things cost in the model of the machine. Every figure is a *modelled cost*: a constant; caches and
// memory are not simulated.
//
// The defaults are rounded, from a virtual machine of two CPUs that were kept from halting; they were not measured
// where you are (`simulator calibrate` does that). By them wake and preempt begin with the system call, not with its
// return: they are high by about a grant and a signal. cold_core and cold_flow are assumptions.
//
// No time is in two costs: what happens on two cores is split where the one hands over to the other.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "apps/simulator/engine/time.h"

namespace sluice::sim {

// Lines that are fetched from another core, one after the other, when a kthread or a flow moves: assumptions.
inline constexpr uint32_t kKthreadLines = 16;  // rings, run queue, signal and grant line, a stack's top
inline constexpr uint32_t kFlowLines = 3;      // what an app knows of a flow

struct Costs {
  // The IOKernel's core.
  Time steer = 50 * kNs;        // a packet: parse, hash, choose, copy, enqueue
  Time flow_lookup = 10 * kNs;  // more, where a table of flows is asked
  Time flow_insert = 60 * kNs;  // more, for the first packet of a flow
  Time reply = 30 * kNs;        // a reply: check, copy, send
  Time pass = 50 * kNs;         // a pass of the allocator
  Time poll = 8 * kNs;          // more, per kthread that it polls
  Time grant = 1500 * kNs;      // a grant: the system call that wakes a kthread, from its begin to its return
  Time signal = 1200 * kNs;     // a signal to a kthread: the system call, from its begin to its return
  // Between cores. The core that sends does not wait for any of these.
  Time ring_hop = 150 * kNs;  // from the send of a message to its sight on another core
  Time wake = 5000 * kNs;     // from the return of the grant's system call to the kthread's first instruction
  Time preempt = 3500 * kNs;  // from the return of the signal's system call to the handler's first instruction
  // A kthread's core.
  Time softirq = 60 * kNs;      // a packet through the protocols, and its uthread made
  Time start = 20 * kNs;        // a switch into a uthread
  Time steal = 250 * kNs;       // a theft that succeeds: the victim's queue and what was in it come from its core
  Time slice = 1500 * kNs;      // from the handler's first instruction until another uthread can run
  Time cold_core = 1000 * kNs;  // a kthread on another core than its last one: kKthreadLines
  Time cold_flow = 200 * kNs;   // a request on another core than its flow's last one: kFlowLines

  [[nodiscard]] static Costs None();
};

struct CostField {
  std::string_view name;
  Time Costs::*member;
};
[[nodiscard]] const std::array<CostField, 17>& CostFields();

// A profile: one "name_ns = number" per line, TOML. What is not named keeps its default. Error: a sentence.
[[nodiscard]] tl::expected<Costs, std::string> ReadCosts(const std::string& path);
// One comment per cost, in the order of CostFields; empty: none.
using CostRemarks = std::array<std::string_view, 17>;
[[nodiscard]] std::string CostsToml(const Costs& costs, std::string_view heading, const CostRemarks& remarks);

}  // namespace sluice::sim
