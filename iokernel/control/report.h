// report.h - what `sluicectl` asks for, as JSON. nlohmann's library stays in report.cc.
#pragma once

#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "iokernel/control/gateway.h"
#include "iokernel/control/messages.h"
#include "iokernel/control/recording.h"
#include "iokernel/control/server.h"
#include "iokernel/control/tenants.h"

namespace sluice {

struct ReportSources {
  const ServerOptions& options;
  const DataplaneGateway& dataplane;
  const GrantBackend& backend;
  RecordingStatus recording;
  std::vector<const Tenant*> tenants;
  int64_t uptime_ms = 0;
};

// What `sluicectl record` shows.
std::string RecordingText(const RecordingStatus& status);

// `what`: "stat", "apps", "policies" or "record".
tl::expected<std::string, Refusal> AnswerQuery(const std::string& what, const ReportSources& sources);

}  // namespace sluice
