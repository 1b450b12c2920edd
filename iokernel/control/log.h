// log.h - the daemon's log lines, to stderr. spdlog stays in log.cc.
#pragma once

#include <string_view>

namespace sluice {

void LogInfo(std::string_view line);
void LogWarning(std::string_view line);
void LogError(std::string_view line);
void SetLogQuiet(bool quiet);  // errors only: for tests

}  // namespace sluice
