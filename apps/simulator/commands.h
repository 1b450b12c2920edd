// commands.h - what the commands of the simulator share.
#pragma once

#include <cstdint>
#include <string>
#include <tl/expected.hpp>

#include "apps/simulator/engine/run.h"

namespace sluice::sim {

// Starts DPDK's environment with room for so many bytes of steering tables; does nothing for 0. Call it once.
[[nodiscard]] tl::expected<void, std::string> StartTables(uint64_t bytes);

// A few lines on stderr for a person.
void PrintSummary(const RunPlan& plan, const RunResult& result);

}  // namespace sluice::sim
