// flow.h - a flow as an operator names it, and what a steering policy can say about it.
#pragma once

#include <cstdint>
#include <string_view>

#include "policies/views.h"

namespace sluice {

// In host order.
struct FiveTuple {
  uint32_t source = 0;
  uint32_t destination = 0;
  uint16_t source_port = 0;
  uint16_t destination_port = 0;
  uint8_t protocol = 0;
  bool operator==(const FiveTuple&) const = default;
};

inline constexpr uint16_t kAnyHome = 0xffff;

// A flow that was installed from outside.
struct InstalledFlow {
  uint32_t hash = 0;
  uint16_t home = kAnyHome;
  FiveTuple tuple;
};

enum class FlowError : uint8_t {
  kNone,
  kNoTable,     // the app's steering policy keeps no flows
  kFull,        // no room in the table
  kNoSuchHome,  // homes are 0 .. max_kthreads-1
  kHashTaken,   // another installed flow has the same hash
  kNotThere,    // no such flow is installed
};

// Why a packet goes where it goes.
enum class SteeringReason : uint8_t {
  kUnknown,     // the policy does not say
  kLanding,     // nobody is active: the kthread that runs next
  kHash,        // the hash chooses among the active
  kTurn,        // whoever's turn it is, whatever the flow
  kOwnSlot,     // the hash names a slot, and its kthread is active
  kParkedSlot,  // the hash names a slot whose kthread is parked: another serves it
  kHome,        // the kthread on the core of the flow's home
  kStandIn,     // the home's core is away: its stand-in
  kDraining,    // the home is back, but who served it still has packets of it
  kNewFlow,     // not in the table: the home that it would get, or its stand-in
  kWaits,       // not in the table yet: by its hash until it gets a home
  kNoRoom,      // not in the table, which is full: by its hash
};

// One sentence for operators.
constexpr std::string_view Describe(SteeringReason reason) {
  switch (reason) {
    case SteeringReason::kUnknown:
      return "the steering policy does not say";
    case SteeringReason::kLanding:
      return "no kthread is active; this one runs next";
    case SteeringReason::kHash:
      return "its hash chooses among the active kthreads";
    case SteeringReason::kTurn:
      return "packets go to the active kthreads in turn; it is this one's";
    case SteeringReason::kOwnSlot:
      return "its hash names this kthread, which is active";
    case SteeringReason::kParkedSlot:
      return "its hash names a parked kthread; this one serves that slot meanwhile";
    case SteeringReason::kHome:
      return "the flow's home is on this core";
    case SteeringReason::kStandIn:
      return "the core of the flow's home is away; this kthread stands in";
    case SteeringReason::kDraining:
      return "this kthread still has packets of the flow's home; the flow moves when they are taken";
    case SteeringReason::kNewFlow:
      return "a new flow: it would get the home with the fewest flows";
    case SteeringReason::kWaits:
      return "a new flow: its hash chooses until it has a home";
    case SteeringReason::kNoRoom:
      return "the flow table is full; its hash chooses among the active kthreads";
  }
  return "";
}

// Where the next packet of a flow would go.
struct SteeringAnswer {
  KthreadId kthread = kNoKthread;
  uint16_t home = kAnyHome;  // of a policy with homes
  CoreId home_core = kNoCore;
  SteeringReason reason = SteeringReason::kUnknown;
};

}  // namespace sluice
