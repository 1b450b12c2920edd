// dst.h - runs worlds and says how to run a failing one again.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "tests/sim/world.h"

namespace sluice::test {

// Empty if all is well; else what failed, the one command that replays it, and the shrunk schedule.
std::string TryWorld(uint64_t seed, Planted planted = Planted::kNone);

// This test of this program again, with that seed alone.
std::string ReplayCommand(uint64_t seed);
// SLUICE_SEED: the one world to be run.
std::optional<uint64_t> SeedAsked();

}  // namespace sluice::test
