// replay.h - a recorded log of decisions (iokernel/brain/record_format.h) under the same or other policies.
//
// What was recorded is what happened: the policies asked here are shown the same signals at the same times, and their
// answers are compared with those in the log. Under the recorded policies nothing differs; under others the result
// says how often, and in which direction, they would have decided otherwise. What would have followed from that, the
// log cannot know: `simulator run` is for that.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <tl/expected.hpp>

#include "apps/simulator/engine/placement_replay.h"

namespace sluice::sim {

// Empty: as recorded.
struct ReplayPolicies {
  std::string congestion{}, pick{}, placement{};
};

struct ReplayResult {
  ReplayPolicies recorded, asked;
  double seconds = 0;  // that the log covers
  bool complete = false;
  uint64_t records = 0, dropped = 0, grants = 0, cedes = 0;
  // verdicts[as recorded][as asked]: keep, add a core, give one up.
  std::array<std::array<uint64_t, 3>, 3> verdicts{};
  uint64_t polls_unseen = 0;  // their signals are not in the log
  // Decisions that were the policy's to make, and those in which it would have chosen otherwise.
  uint64_t picks = 0, other_picks = 0;
  PlacementComparison placement;
  Ticks start = 0;  // of the log
  double tick_hz = 1e9;

  [[nodiscard]] uint64_t OtherVerdicts() const;
};

// Error: a sentence with the policies that there are.
[[nodiscard]] tl::expected<void, std::string> CheckPolicies(const ReplayPolicies& asked);
// `log`: the whole file, 8-byte aligned. Error: a sentence.
[[nodiscard]] tl::expected<ReplayResult, std::string> Replay(std::span<const std::byte> log,
                                                             const ReplayPolicies& asked);
[[nodiscard]] std::string ReplayText(const ReplayResult& result);
[[nodiscard]] std::string ReplayJson(const ReplayResult& result);

}  // namespace sluice::sim
