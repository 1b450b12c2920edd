// report.h - what a run found, as the JSON of `simulator run` and as a table row.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "apps/simulator/engine/run.h"

namespace sluice::sim {

// One JSON object on one line: the figures, the inputs, then both of each app. Top-level inputs of which each app has
// its own are those of the first app that gets requests. Everything but events_per_s is a function of the plan.
[[nodiscard]] std::string ReportJson(const RunPlan& plan, const RunResult& result);

// A sweep as CSV: a row per run; a column per input, as the JSON calls it, then per figure. What is inside an object
// has both names: iokernel_receive.
class Table {
 public:
  void Add(const RunPlan& plan, const RunResult& result);
  [[nodiscard]] std::string Csv() const;

 private:
  void Set(const std::string& column, std::string cell);  // of the last row
  std::vector<std::string> columns_;
  std::vector<std::map<std::string, std::string>> rows_;
};

}  // namespace sluice::sim
