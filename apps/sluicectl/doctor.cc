// doctor.cc - how findings are shown.
#include "apps/sluicectl/doctor.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace sluice::ctl {
namespace {

const char* Name(Verdict verdict) {
  switch (verdict) {
    case Verdict::kPass:
      return "pass";
    case Verdict::kWarn:
      return "warn";
    default:
      return "FAIL";
  }
}

}  // namespace

std::string FindingsTable(const std::vector<Finding>& findings) {
  size_t width = 0;
  for (const Finding& finding : findings) width = std::max(width, finding.what.size());
  std::string text;
  for (const Finding& finding : findings) {
    std::string what = finding.what;
    what.resize(width, ' ');
    text += std::string(Name(finding.verdict)) + "  " + what + "  " + finding.found + "\n";
    if (!finding.mend.empty()) text += std::string(width + 8, ' ') + "mend: " + finding.mend + "\n";
  }
  return text;
}

std::string FindingsJson(const std::vector<Finding>& findings) {
  nlohmann::ordered_json json;
  json["ok"] = !AnyFails(findings);
  json["findings"] = nlohmann::ordered_json::array();
  for (const Finding& finding : findings) {
    const char* verdict = finding.verdict == Verdict::kFail ? "fail" : Name(finding.verdict);
    json["findings"].push_back(
        {{"what", finding.what}, {"verdict", verdict}, {"found", finding.found}, {"mend", finding.mend}});
  }
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

bool AnyFails(const std::vector<Finding>& findings) {
  return std::any_of(findings.begin(), findings.end(), [](const Finding& f) { return f.verdict == Verdict::kFail; });
}

}  // namespace sluice::ctl
