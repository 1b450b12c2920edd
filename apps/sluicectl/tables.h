// tables.h - iokerneld's answers (JSON text) as tables for a person.
#pragma once

#include <string>

namespace sluice::ctl {

// Throw nothing: an answer that is not as expected is shown as it came.
std::string StatTable(const std::string& json);
std::string AppsTable(const std::string& json);
std::string PoliciesTable(const std::string& json);
std::string FlowsTable(const std::string& json);  // of flow list
std::string FlowLine(const std::string& json);    // of flow add and flow del
std::string ExplainText(const std::string& json);
std::string RecordingText(const std::string& json);
std::string Indented(const std::string& json);

}  // namespace sluice::ctl
