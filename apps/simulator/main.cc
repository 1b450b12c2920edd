// main.cc - simulator: judges policies on machines that need not exist.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "apps/lib/usage.h"
#include "apps/simulator/commands.h"
#include "apps/simulator/engine/replay.h"
#include "apps/simulator/engine/report.h"
#include "apps/simulator/options.h"
#include "apps/simulator/output.h"
#include "apps/simulator/vary.h"

namespace sluice::sim {
namespace {

constexpr int kBadUsage = 2;

int Fail(const std::string& sentence, int status = 1) {
  std::fprintf(stderr, "simulator: %s\n", sentence.c_str());
  return status;
}

// Time slices that no daemon gives; each sentence once.
void Warn(const RunPlan& plan) {
  static std::set<std::string> said;
  const std::string sentence = DaemonRefuses(plan);
  if (!sentence.empty() && said.insert(sentence).second) std::fprintf(stderr, "simulator: %s\n", sentence.c_str());
}

// A line, if the file is wanted; the exit status.
int WriteLine(Output& output, const std::string& text) {
  if (!output.wanted()) return 0;
  const auto written = output.Write(text + '\n');
  return written ? 0 : Fail(written.error());
}

struct RunCommand {
  RunOptions options;
  std::string json, timeline, record;

  void AddTo(CLI::App* command) {
    options.AddTo(command);
    command->add_option("--json", json, "file of the result; -: the standard output, and nothing else there");
    command->add_option("--timeline", timeline, "sluice: file of who had which core when, for ui.perfetto.dev");
    command->add_option("--record", record, "sluice: file of the allocator's decisions, as the daemon records them");
  }

  int Run() const {
    const auto plan = options.Plan();
    if (!plan) return Fail(plan.error(), kBadUsage);
    if (plan->scheduler != "sluice" && !(timeline.empty() && record.empty())) {
      return Fail("--timeline and --record have no effect on the scheduler " + plan->scheduler + ", only on sluice",
                  kBadUsage);
    }
    Output json_file("--json", json), timeline_file("--timeline", timeline), record_file("--record", record);
    if (auto opened = Output::OpenAll({&json_file, &timeline_file, &record_file}); !opened) {
      return Fail(opened.error(), kBadUsage);
    }
    Warn(*plan);
    if (auto started = StartTables(TableBytes(*plan)); !started) return Fail(started.error());
    Timeline grants(plan->cores);
    std::vector<std::byte> log;
    std::optional<ProgressBar> bar;
    bar.emplace(plan->requests);
    const auto result = Simulate(*plan, {.progress = bar->done(),
                                         .timeline = timeline.empty() ? nullptr : &grants,
                                         .log = record.empty() ? nullptr : &log});
    bar.reset();
    if (!result) return Fail(result.error());
    if (json != "-") PrintSummary(*plan, *result);
    std::vector<std::string> names;
    for (const AppPlan& app : plan->apps) names.push_back(app.name);
    int status = timeline_file.wanted() ? WriteLine(timeline_file, grants.Json(names)) : 0;
    if (status == 0 && record_file.wanted()) {
      const auto written = record_file.Write({reinterpret_cast<const char*>(log.data()), log.size()});
      if (!written) status = Fail(written.error());
    }
    return status != 0 ? status : WriteLine(json_file, ReportJson(*plan, *result));
  }
};

struct SweepCommand {
  std::vector<std::string> vary;
  std::string csv, json;
  uint32_t threads = std::max(1u, std::thread::hardware_concurrency());
  bool list = false;

  void AddTo(CLI::App* command) {
    command->allow_extras();
    command->footer("Every other option is one of `simulator run` and holds for all jobs.");
    command
        ->add_option(
            "--vary", vary,
            "FLAG=VALUE,VALUE,...: one job per value, and per combination of several --vary; values with commas "
            "in them: FLAG=VALUE;VALUE;...")
        ->required();
    command->add_option("-j,--jobs", threads, "jobs at a time (all CPUs)")->check(CLI::Range(1, 1024));
    CLI::Option* listing = command->add_flag("--list", list, "print the jobs as commands, one per line, and run none");
    command->add_option("--csv", csv, "file of one row per job; -: the standard output")->excludes(listing);
    command->add_option("--json", json, "file of one JSON array; -: the standard output")->excludes(listing);
  }

  int Run(const std::vector<std::string>& base) const {
    const auto combinations = Combinations(base, vary);
    if (!combinations) return Fail(combinations.error(), kBadUsage);
    std::vector<SweepJob> jobs;
    uint64_t table_bytes = 0;
    for (std::vector<std::string> words : *combinations) {
      SweepJob job{.command = "simulator run " + ShellLine(words), .plan = {}};
      CLI::App command("job");
      command.set_help_flag();
      RunOptions options;
      options.AddTo(&command);
      std::reverse(words.begin(), words.end());  // as CLI11 wants them
      try {
        command.parse(words);
      } catch (const CLI::ParseError& error) {
        std::fprintf(stderr, "simulator: %s:\n", job.command.c_str());
        return apps::Refuse(command, error);
      }
      auto plan = options.Plan();
      if (!plan) return Fail(job.command + ": " + plan.error(), kBadUsage);
      if (!list) Warn(*plan);
      table_bytes = std::max(table_bytes, TableBytes(*plan));
      job.plan = std::move(*plan);
      jobs.push_back(std::move(job));
    }
    if (list) {
      for (const SweepJob& job : jobs) std::printf("%s --json -\n", job.command.c_str());
      return 0;
    }
    Output csv_file("--csv", csv.empty() && json.empty() ? "-" : csv), json_file("--json", json);
    if (auto opened = Output::OpenAll({&csv_file, &json_file}); !opened) return Fail(opened.error(), kBadUsage);
    if (auto started = StartTables(table_bytes * threads); !started) return Fail(started.error());
    const auto results = RunSweep(jobs, threads);
    if (!results) return Fail(results.error());
    Table table;
    std::string objects;
    for (size_t i = 0; i < jobs.size(); ++i) {
      table.Add(jobs[i].plan, (*results)[i]);
      objects += (i == 0 ? "[" : ",\n") + ReportJson(jobs[i].plan, (*results)[i]);
    }
    const int status = WriteLine(csv_file, table.Csv());
    return status != 0 ? status : WriteLine(json_file, objects + ']');
  }
};

struct CalibrateCommand {
  std::string out = "-";
  void AddTo(CLI::App* command) {
    command->add_option("--out", out, "file of the profile, for --profile; -: the standard output")
        ->capture_default_str();
  }
  int Run() const {
    Output file("--out", out);
    if (auto opened = Output::OpenAll({&file}); !opened) return Fail(opened.error(), kBadUsage);
    const auto profile = Calibrate();
    return profile ? WriteLine(file, *profile) : Fail(profile.error());
  }
};

struct ReplayCommand {
  std::string file, json;
  ReplayPolicies policies;

  void AddTo(CLI::App* command) {
    command->add_option("file", file, "a log that iokerneld (sluicectl record) or `simulator run --record` has written")
        ->required();
    command->add_option("--congestion", policies.congestion,
                        "congestion policy to ask, NAME[:PARAMETERS] (as recorded)");
    command->add_option("--pick", policies.pick, "pick policy to ask (as recorded)");
    command->add_option("--placement", policies.placement, "placement policy to ask (as recorded)");
    command->add_option("--json", json, "file of the result; -: the standard output, and nothing else there");
  }

  int Run() const {
    if (auto checked = CheckPolicies(policies); !checked) return Fail(checked.error(), kBadUsage);
    std::ifstream in(file, std::ios::binary);
    if (!in) return Fail(file + ": " + std::strerror(errno), kBadUsage);
    Output json_file("--json", json);
    if (auto opened = Output::OpenAll({&json_file}); !opened) return Fail(opened.error(), kBadUsage);
    const std::vector<char> bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    const auto result = Replay(std::as_bytes(std::span(bytes)), policies);
    if (!result) return Fail(file + ": " + result.error());
    if (json != "-") std::fputs(ReplayText(*result).c_str(), stdout);
    return WriteLine(json_file, ReplayJson(*result));
  }
};

int Main(int argc, char** argv) {
  CLI::App app("simulator - judges scheduling policies in virtual time, with the daemon's own allocator and policies");
  app.require_subcommand(1);
  RunCommand run;
  CLI::App* run_command = app.add_subcommand("run", "simulate one load under one scheduler");
  run.AddTo(run_command);
  SweepCommand sweep;
  CLI::App* sweep_command = app.add_subcommand("sweep", "simulate many: a list of independent runs");
  sweep.AddTo(sweep_command);
  CalibrateCommand calibrate;
  CLI::App* calibrate_command = app.add_subcommand("calibrate", "measure what things cost on this machine");
  calibrate.AddTo(calibrate_command);
  ReplayCommand replay;
  CLI::App* replay_command = app.add_subcommand("replay", "a recorded log under other policies: what they would say");
  replay.AddTo(replay_command);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return apps::Refuse(app, error);
  }
  if (run_command->parsed()) return run.Run();
  if (replay_command->parsed()) return replay.Run();
  return sweep_command->parsed() ? sweep.Run(sweep_command->remaining()) : calibrate.Run();
}

}  // namespace
}  // namespace sluice::sim

int main(int argc, char** argv) { return sluice::sim::Main(argc, argv); }
