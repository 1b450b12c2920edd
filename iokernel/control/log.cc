// log.cc - see log.h. The only file that knows spdlog.
#include "iokernel/control/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

namespace sluice {
namespace {

spdlog::logger& Logger() {
  static const std::shared_ptr<spdlog::logger> kLogger = [] {
    auto logger =
        std::make_shared<spdlog::logger>("iokerneld", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
    logger->set_pattern("%Y-%m-%d %H:%M:%S.%e %n %^%l%$: %v");
    logger->flush_on(spdlog::level::info);
    return logger;
  }();
  return *kLogger;
}

spdlog::string_view_t View(std::string_view line) { return {line.data(), line.size()}; }

}  // namespace

void LogInfo(std::string_view line) { Logger().info(View(line)); }
void LogWarning(std::string_view line) { Logger().warn(View(line)); }
void LogError(std::string_view line) { Logger().error(View(line)); }
void SetLogQuiet(bool quiet) { Logger().set_level(quiet ? spdlog::level::off : spdlog::level::info); }

}  // namespace sluice
