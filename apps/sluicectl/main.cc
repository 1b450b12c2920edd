// main.cc - sluicectl: looks into a running iokerneld, or at the machine.
#include <time.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <functional>
#include <string>

#include "apps/sluicectl/doctor.h"
#include "apps/sluicectl/query.h"
#include "apps/sluicectl/tables.h"

namespace sluice::ctl {
namespace {

constexpr const char* kExamples = R"(
Examples
  sluicectl stat                       traffic, drops by reason, cores and grants of every app and kthread
  sluicectl stat --watch 1             again every second, until interrupted
  sluicectl apps --json
  sluicectl --run-dir /run/other stat  of another iokerneld (or SLUICE_RUN_DIR)
  sluicectl doctor --port af_xdp:veth0 needs no iokerneld; with the command that mends what is found

Exit codes: 0 all is well, 1 no daemon answered or a check failed, 2 wrong usage
)";

struct Options {
  std::string run_dir;
  bool json = false;
  unsigned watch_s = 0;
  std::string port;
};

int Show(const Options& options, const std::string& what, const std::function<std::string(const std::string&)>& table) {
  while (true) {
    const auto answer = Ask(RunDirectory(options.run_dir), what);
    if (!answer) {
      std::fprintf(stderr, "sluicectl: %s\n", answer.error().c_str());
      return 1;
    }
    std::fputs((options.json ? Indented(*answer) : table(*answer)).c_str(), stdout);
    if (std::fflush(stdout) != 0) return 1;  // whoever read this has gone
    if (options.watch_s == 0) return 0;
    const timespec pause{static_cast<time_t>(options.watch_s), 0};
    nanosleep(&pause, nullptr);
    std::puts("");
  }
}

int Doctor(const Options& options) {
  const std::vector<Finding> findings = Examine(options.port);
  std::fputs((options.json ? FindingsJson(findings) : FindingsTable(findings)).c_str(), stdout);
  return AnyFails(findings) ? 1 : 0;
}

int Run(int argc, char** argv) {
  CLI::App app("sluicectl: looks into a running iokerneld, or at the machine.", "sluicectl");
  app.footer(kExamples);
  app.require_subcommand(1);
  app.fallthrough();
  Options options;
  app.add_option("--run-dir,--sluice-run-dir", options.run_dir, "of the iokerneld [SLUICE_RUN_DIR, else /run/sluice]");
  app.add_flag("--json", options.json, "JSON instead of tables");
  CLI::App* stat = app.add_subcommand("stat", "packets, drops by reason, cores, grants, steals: per app and kthread");
  stat->add_option("--watch", options.watch_s, "again every N seconds")->type_name("N")->check(CLI::Range(1, 86400));
  CLI::App* apps = app.add_subcommand("apps", "the attached apps");
  CLI::App* policies = app.add_subcommand("policies", "the policies there are, and those in force");
  CLI::App* doctor = app.add_subcommand("doctor", "is this machine fit? pass, warn or FAIL, and the mending command");
  doctor->add_option("--port", options.port, "the port that iokerneld is to use, such as af_xdp:veth0");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (stat->parsed()) return Show(options, "stat", StatTable);
  if (apps->parsed()) return Show(options, "apps", AppsTable);
  if (policies->parsed()) return Show(options, "policies", PoliciesTable);
  return doctor->parsed() ? Doctor(options) : 2;
}

}  // namespace
}  // namespace sluice::ctl

int main(int argc, char** argv) { return sluice::ctl::Run(argc, argv); }
