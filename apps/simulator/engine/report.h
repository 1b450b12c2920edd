// report.h - what a run found, as the JSON of `simulator run` and as a table row.
#pragma once

#include <string>

#include "apps/simulator/engine/run.h"

namespace sluice::sim {

// One JSON object on one line: the figures, then the inputs. Everything but events_per_s is a function of the plan.
[[nodiscard]] std::string ReportJson(const RunPlan& plan, const RunResult& result);

// The columns of a sweep's CSV, and a run's row of it.
[[nodiscard]] std::string CsvHeading();
[[nodiscard]] std::string CsvRow(const RunPlan& plan, const RunResult& result);

}  // namespace sluice::sim
