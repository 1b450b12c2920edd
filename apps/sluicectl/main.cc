// main.cc - sluicectl: looks into a running iokerneld, or at the machine.
#include <time.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <functional>
#include <optional>
#include <string>

#include "apps/lib/usage.h"
#include "apps/sluicectl/commands.h"
#include "apps/sluicectl/doctor.h"
#include "apps/sluicectl/query.h"
#include "apps/sluicectl/record_print.h"
#include "apps/sluicectl/tables.h"

namespace sluice::ctl {
namespace {

constexpr const char* kExamples = R"(
Examples
  sluicectl stat                       traffic, drops by reason, cores and grants of every app and kthread
  sluicectl stat --watch 1             again every second, until interrupted
  sluicectl apps --json
  sluicectl --run-dir /run/other stat  of another iokerneld (or SLUICE_RUN_DIR)
  sluicectl explain 10.0.0.9:4242 10.0.0.2:80/udp    where the next packet of that flow goes, and why
  sluicectl flow add 10.0.0.9:4242 10.0.0.2:80/udp   its home, before the first packet (flow-affinity)
  sluicectl record start FILE; sluicectl record stop; sluicectl record print FILE
  sluicectl doctor --port af_xdp:veth0 needs no iokerneld; with the command that mends what is found

Exit codes: 0 all is well, 1 no daemon answered or a check failed, 2 wrong usage
)";

struct Options {
  std::string run_dir;
  bool json = false;
  unsigned watch_s = 0;
  std::string port;
  std::string source, destination, app, file, limit;
  std::optional<uint16_t> home;
};
using Text = tl::expected<std::string, std::string>;

constexpr int kBadUsage = 2;

int Fail(const std::string& sentence, int status = 1) {
  std::fprintf(stderr, "sluicectl: %s\n", sentence.c_str());
  return status;
}

int Show(const Options& options, const std::string& what, const std::function<std::string(const std::string&)>& table) {
  while (true) {
    const auto answer = Ask(RunDirectory(options.run_dir), what);
    if (!answer) return Fail(answer.error());
    std::fputs((options.json ? Indented(*answer) : table(*answer)).c_str(), stdout);
    if (std::fflush(stdout) != 0) return 1;  // whoever read this has gone
    if (options.watch_s == 0) return 0;
    const timespec pause{static_cast<time_t>(options.watch_s), 0};
    nanosleep(&pause, nullptr);
    std::puts("");
  }
}

int Print(const Options& options, const Text& answer, std::string (*text)(const std::string&)) {
  if (!answer) return Fail(answer.error());
  std::fputs((options.json ? Indented(*answer) : text(*answer)).c_str(), stdout);
  return std::fflush(stdout) == 0 ? 0 : 1;
}

int PrintFile(const Options& options) {
  const auto printed = PrintRecord(options.file, stdout);
  if (!printed) return Fail(printed.error());
  return std::fflush(stdout) == 0 ? 0 : 1;
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
  CLI::App* list_apps = app.add_subcommand("apps", "the attached apps");
  CLI::App* policies = app.add_subcommand("policies", "the policies there are, and those in force");
  CLI::App* explain = app.add_subcommand("explain", "which kthread and core a flow's next packet goes to, and why");
  CLI::App* flow = app.add_subcommand("flow", "installed flows of apps whose steering keeps flows");
  CLI::App* flow_add = flow->add_subcommand("add", "gives a flow its home; it is never forgotten (root)");
  CLI::App* flow_del = flow->add_subcommand("del", "takes an installed flow out again (root)");
  CLI::App* flow_list = flow->add_subcommand("list", "the installed flows");
  flow->require_subcommand(1);
  for (CLI::App* command : {explain, flow_add, flow_del}) {
    command->add_option("source", options.source, "the remote end")->type_name("ADDRESS:PORT")->required();
    command->add_option("destination", options.destination, "the app's end")->type_name("ADDRESS:PORT/udp")->required();
  }
  flow_add->add_option("--home", options.home, "0 to the app's kthreads - 1 [the one with the fewest flows]")
      ->check(CLI::Range(0, 0xfffe));  // 0xffff stands for none
  flow_list->add_option("app", options.app, "of this app only")->check([](const std::string& name) {
    return name.size() < sizeof abi::CommandRequest::app ? "" : "no app has a name that long: " + name;
  });
  CLI::App* record = app.add_subcommand("record", "the record of the allocator's decisions");
  CLI::App* record_start = record->add_subcommand("start", "into FILE, which is overwritten (root)");
  CLI::App* record_stop = record->add_subcommand("stop", "returns when FILE is complete (root)");
  CLI::App* record_status = record->add_subcommand("status", "how much has been written, and dropped");
  CLI::App* record_print = record->add_subcommand("print", "FILE as lines of JSON; needs no iokerneld");
  record->require_subcommand(1);
  for (CLI::App* command : {record_start, record_print}) command->add_option("file", options.file)->required();
  record_start->add_option("--limit", options.limit, "bytes, such as 64M or 1G [256M]; the recording ends there")
      ->check([](const std::string& limit) {
        return ParseBytes(limit) ? "" : "got '" + limit + "', allowed is a number of bytes, such as 64M or 1G";
      });
  CLI::App* doctor = app.add_subcommand("doctor", "is this machine fit? pass, warn or FAIL, and the mending command");
  doctor->add_option("--port", options.port, "the port that iokerneld is to use, such as af_xdp:veth0");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const std::vector<std::string> unknown = app.remaining();
    if (!app.get_subcommands().empty() || unknown.empty()) return apps::Refuse(app, error);
    std::string allowed;  // CLI11 would only say that a subcommand is required
    for (const CLI::App* command : app.get_subcommands(nullptr)) allowed += " " + command->get_name();
    std::fprintf(stderr, "sluicectl: got '%s', allowed:%s; see --help\n", unknown.front().c_str(), allowed.c_str());
    return kBadUsage;
  }
  if (explain->parsed() || flow_add->parsed() || flow_del->parsed()) {
    abi::CommandRequest parsed{};
    const auto set = SetFlow(options.source, options.destination, &parsed);
    if (!set) return Fail(set.error(), kBadUsage);
  }
  if (stat->parsed()) return Show(options, "stat", StatTable);
  if (list_apps->parsed()) return Show(options, "apps", AppsTable);
  if (policies->parsed()) return Show(options, "policies", PoliciesTable);
  const std::string run_dir = RunDirectory(options.run_dir);
  if (explain->parsed()) return Print(options, Explain(run_dir, options.source, options.destination), ExplainText);
  if (flow_add->parsed() || flow_del->parsed()) {
    const Text done = ChangeFlow(run_dir, flow_add->parsed(), options.source, options.destination, options.home);
    return Print(options, done, FlowLine);
  }
  if (flow_list->parsed()) return Print(options, ListFlows(run_dir, options.app), FlowsTable);
  if (record_start->parsed())
    return Print(options, StartRecording(run_dir, options.file, options.limit), RecordingText);
  if (record_stop->parsed()) return Print(options, StopRecording(run_dir), RecordingText);
  if (record_status->parsed()) return Print(options, Ask(run_dir, "record"), RecordingText);
  if (record_print->parsed()) return PrintFile(options);
  return doctor->parsed() ? Doctor(options) : kBadUsage;
}

}  // namespace
}  // namespace sluice::ctl

int main(int argc, char** argv) { return sluice::ctl::Run(argc, argv); }
