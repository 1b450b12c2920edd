#include "apps/simulator/engine/timeline.h"

#include <cstdio>

namespace sluice::sim {

// Names were checked to be letters, digits and dashes (CheckPlan): they need no escapes.
std::string Timeline::Json(const std::vector<std::string>& app_names) const {
  std::string text = "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n";
  char line[256];
  for (size_t core = 0; core < open_.size(); ++core) {
    std::snprintf(line, sizeof line,
                  "{\"name\":\"thread_name\",\"ph\":\"M\",\"pid\":0,\"tid\":%zu,\"args\":{\"name\":\"core %zu\"}},\n",
                  core, core);
    text += line;
  }
  for (const Grant& grant : grants_) {
    std::snprintf(line, sizeof line,
                  "{\"name\":\"%s\",\"cat\":\"grant\",\"ph\":\"X\",\"pid\":0,\"tid\":%u,\"ts\":%.3f,\"dur\":%.3f,"
                  "\"args\":{\"kthread\":%u}},\n",
                  app_names[grant.app].c_str(), grant.core, ToUs(grant.begin), ToUs(grant.end - grant.begin),
                  grant.kthread);
    text += line;
  }
  text += "{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":0,\"args\":{\"name\":\"cores\"}}]}\n";
  return text;
}

}  // namespace sluice::sim
