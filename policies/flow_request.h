// flow_request.h - what the control plane may ask of an app's steering policy while the app runs.
//
// The loop owns the policy, so nobody else may touch it. The control thread fills a FlowRequest, sends its address
// through the loop's command queue, and leaves it alone until the reply comes; the loop calls Answer. One request
// is bounded work (one table operation, or kFlowsPerList flows copied), so it fits between two packets' bursts.
//
//   add      hash, tuple, home (kAnyHome: the home with the fewest flows)  -> error, home
//   remove   hash, tuple                                                   -> error
//   list     cursor (at first kListStart; goes back as it came)            -> error, flows[0 .. count), cursor;
//                                                                              count < kFlowsPerList: that was all
//   explain  hash                                                          -> answer; changes nothing
//
// `hash` is what the loop computes for the flow's packets *to* the app: Toeplitz over source, destination, ports.
// Listing while flows come and go: every flow that stays is listed; one may be listed twice after a removal.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "policies/registry.h"
#include "policies/steering/flow.h"

namespace sluice {

inline constexpr uint32_t kFlowsPerList = 64;
inline constexpr uint32_t kListStart = 0xffffffff;

struct FlowRequest {
  enum class Kind : uint8_t { kAdd, kRemove, kList, kExplain };
  Kind kind = Kind::kList;
  // The question.
  uint32_t hash = 0;
  FiveTuple tuple{};
  uint16_t home = kAnyHome;
  uint32_t cursor = kListStart;
  // The answer.
  FlowError error = FlowError::kNone;
  uint32_t count = 0;
  std::array<InstalledFlow, kFlowsPerList> flows{};
  SteeringAnswer answer{};
};

// On the thread that owns the policy. `view` is the app's, as for SteerBurst.
void Answer(FlowRequest& request, SteeringVariant& steering, const AppView& view);

// What to tell the operator about request.error; empty if there is none.
[[nodiscard]] std::string DescribeError(const FlowRequest& request);

// Whether a steering policy of this name (with or without parameters) keeps flows that can be installed.
[[nodiscard]] bool KeepsFlows(std::string_view steering);

}  // namespace sluice
