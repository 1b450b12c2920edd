// main.cc - simulator: judges policies on machines that need not exist.
#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

#include "apps/lib/result.h"
#include "apps/simulator/commands.h"
#include "apps/simulator/engine/report.h"
#include "apps/simulator/options.h"

namespace sluice::sim {
namespace {

constexpr int kBadUsage = 2;

int Fail(const std::string& sentence, int status = 1) {
  std::fprintf(stderr, "simulator: %s\n", sentence.c_str());
  return status;
}

int Write(const std::string& path, const std::string& text, const char* flag) {
  if (apps::WriteText(path, text)) return 0;
  return Fail(std::string(flag) + " " + path + ": " + std::strerror(errno));
}

struct RunCommand {
  RunOptions options;
  std::string json, timeline;

  void AddTo(CLI::App* command) {
    options.AddTo(command);
    command->add_option("--json", json, "file of the result; -: the standard output, and nothing else there");
    command->add_option("--timeline", timeline, "sluice: file of who had which core when, for ui.perfetto.dev");
  }

  int Run() const {
    const auto plan = options.Plan();
    if (!plan) return Fail(plan.error(), kBadUsage);
    if (auto started = StartTables(TableBytes(*plan)); !started) return Fail(started.error());
    Timeline grants(plan->cores);
    const auto result = Simulate(*plan, timeline.empty() ? nullptr : &grants);
    if (!result) return Fail(result.error());
    if (json != "-") PrintSummary(*plan, *result);
    if (!timeline.empty()) {
      std::vector<std::string> names;
      for (const AppPlan& app : plan->apps) names.push_back(app.name);
      if (const int status = Write(timeline, grants.Json(names), "--timeline"); status != 0) return status;
    }
    return json.empty() ? 0 : Write(json, ReportJson(*plan, *result), "--json");
  }
};

int Main(int argc, char** argv) {
  CLI::App app("simulator - judges scheduling policies in virtual time, with the daemon's own allocator and policies");
  app.require_subcommand(1);
  RunCommand run;
  CLI::App* run_command = app.add_subcommand("run", "simulate one load under one scheduler");
  run.AddTo(run_command);
  CLI11_PARSE(app, argc, argv);
  return run.Run();
}

}  // namespace
}  // namespace sluice::sim

int main(int argc, char** argv) { return sluice::sim::Main(argc, argv); }
