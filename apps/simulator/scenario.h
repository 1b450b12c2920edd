// scenario.h - a plan from a TOML file, for what flags cannot say. docs/simulator.md lists the keys.
#pragma once

#include <string>
#include <tl/expected.hpp>

#include "apps/simulator/engine/plan.h"

namespace sluice::sim {

// Error: a sentence with the file, the line and what is allowed.
[[nodiscard]] tl::expected<RunPlan, std::string> ReadScenario(const std::string& path);

}  // namespace sluice::sim
