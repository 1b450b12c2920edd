// flags.cc - see flags.h. The only file that knows CLI11.
//
// Every value is taken as text, so that a wrong one is reported like one in the file, by the same code.
#include "iokernel/control/flags.h"

#include <CLI/CLI.hpp>
#include <list>

#include "iokernel/control/config_parse.h"
#include "iokernel/control/units.h"
#include "policies/registry.h"

namespace sluice {
namespace {

constexpr const char* kExamples = R"(
What is given here goes before what the file says; lists replace the file's.

Examples
  iokerneld --port af_xdp:veth0 --address 10.0.0.2/24
  iokerneld --port tap:sluice0 --address 10.0.0.2/24 --cores '1*4' --cpu 0
                                    four core slots on CPU 1, the loop on CPU 0 (a machine with two CPUs)
  iokerneld --config /etc/sluice.toml --steering flow-affinity
  iokerneld --config /etc/sluice.toml --check
                                    says everything that is wrong with it, touches nothing
  iokerneld --print-config          the effective config as TOML, a file to start from

Exit codes
  0  a clean stop (SIGTERM, SIGINT, SIGHUP), or nothing wrong with the config
  1  the machine refused something at start: no privilege, no memory, a port that does not open
  2  wrong flags or config, no port, or another iokerneld has the run directory or the port; nothing was touched
)";

std::string Summary(PolicyKind kind) {
  std::string names;
  for (const PolicyInfo& policy : PolicyList()) {
    if (policy.kind == kind) names += (names.empty() ? "" : ", ") + std::string(policy.name);
  }
  return names;
}

// The flags as CLI11 fills them.
struct RawFlags {
  std::optional<std::string> config, port, run_dir, cpu, interval_us, grant, idle_burner, address;
  std::optional<std::string> steering, pick, congestion, placement;
  std::optional<std::vector<std::string>> cores, routes;
  bool check = false, print_config = false, list_policies = false, version = false;
};

void Declare(CLI::App& app, RawFlags& raw) {
  const auto text = [&app](const char* name, std::optional<std::string>& value, const char* type,
                           const std::string& help) {
    return app.add_option(name, value, help)->type_name(type)->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  };
  text("--config", raw.config, "FILE", "TOML with the tables [iokernel], [policy], [net], [[app]]");
  text("--port", raw.port, "PORT",
       "where packets come from: af_xdp:IFACE, tap:NAME, af_packet:IFACE, memif:SOCKET, pci:ADDR, null");
  text("--run-dir", raw.run_dir, "DIR", "of the control socket, pid file and lock; makes the instance [/run/sluice]");
  text("--cpu", raw.cpu, "N", "the loop's own CPU [the first that --cores does not use]");
  app.add_option("--cores", raw.cores,
                 "core slots for apps: 2-5 or 2,3,8 or 1*4 for four slots on CPU 1 [all other CPUs]")
      ->type_name("LIST")
      ->delimiter(',')
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  text("--interval-us", raw.interval_us, "N", "microseconds between two looks at who needs a core [5]");
  text("--grant", raw.grant, "HOW", "how a core is given: auto, futex, ksched [auto]");
  text("--idle-burner", raw.idle_burner, "on|off",
       "in a virtual machine: keep the apps' CPUs from being halted, at the price of their idle time [off]");
  text("--address", raw.address, "ADDR/BITS", "iokerneld's own IPv4 address; apps take theirs from its network");
  app.add_option("--route", raw.routes, "\"NETWORK/BITS via GATEWAY\", once for each")
      ->type_name("ROUTE")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  text("--steering", raw.steering, "NAME", Summary(PolicyKind::kSteering));
  text("--pick", raw.pick, "NAME", Summary(PolicyKind::kPick));
  text("--congestion", raw.congestion, "NAME[:PARAMETERS]", Summary(PolicyKind::kCongestion));
  text("--placement", raw.placement, "NAME", Summary(PolicyKind::kPlacement));
  app.add_flag("--check", raw.check, "check flags and config, then exit; needs no privilege");
  app.add_flag("--print-config", raw.print_config, "print the effective config as TOML, then exit");
  app.add_flag("--list-policies", raw.list_policies, "print every policy with one line, then exit");
  app.add_flag("--version", raw.version, "print the version, then exit");
}

Maybe<std::string> Text(const std::optional<std::string>& value, const char* flag) {
  if (!value) return std::nullopt;
  return Written<std::string>{*value, {flag, 0, 0, ""}};
}

Maybe<int64_t> Number(const std::optional<std::string>& value, const char* flag, const char* allowed,
                      ConfigErrors& errors) {
  if (!value) return std::nullopt;
  const Place place{flag, 0, 0, ""};
  const auto number = ParseUnsigned(*value);
  if (!number || *number > INT64_MAX) {
    const auto us = std::string_view(flag).ends_with("-us") ? ParseDurationUs(*value) : std::nullopt;
    errors.Add(place, "\"" + *value + "\"", allowed, us ? std::to_string(*us) : "");
    return std::nullopt;
  }
  return Written<int64_t>{static_cast<int64_t>(*number), place};
}

std::optional<std::vector<Written<std::string>>> List(const std::optional<std::vector<std::string>>& values,
                                                      const char* flag) {
  if (!values) return std::nullopt;
  std::vector<Written<std::string>> items;
  for (const std::string& value : *values) items.push_back({value, {flag, 0, 0, ""}});
  return items;
}

// What CLI11 could not place. The word behind an unknown flag is taken for its value.
void ReportExtras(const CLI::App& app, ConfigErrors& errors) {
  std::vector<std::string> known;
  for (const CLI::Option* option : app.get_options()) known.push_back("--" + option->get_lnames().at(0));
  bool after_flag = false;
  for (const std::string& extra : app.remaining()) {
    const bool flag = extra.size() > 1 && extra[0] == '-';
    const std::string name = extra.substr(0, extra.find('='));
    if (flag) {
      errors.AddText({name, 0, 0, ""},
                     "unknown flag, allowed: those of --help" +
                         (Nearest(name, known).empty() ? "" : ", did you mean " + Nearest(name, known) + "?"));
    } else if (!after_flag) {
      errors.AddText({"\"" + extra + "\"", 0, 0, ""}, "got a word that belongs to no flag, allowed: flags, see --help");
    }
    after_flag = flag && name.size() == extra.size();
  }
}

}  // namespace

Flags ReadFlags(std::span<const char* const> arguments, ConfigErrors& errors) {
  CLI::App app("iokerneld: polls a port, steers packets to the apps they belong to, gives them cores.", "iokerneld");
  app.footer(kExamples);
  app.allow_extras();
  RawFlags raw;
  Declare(app, raw);
  Flags flags;
  try {
    std::vector<std::string> words(arguments.rbegin(), arguments.rend());  // CLI11 wants them reversed
    app.parse(std::move(words));
  } catch (const CLI::CallForHelp&) {
    flags.mode = Flags::Mode::kText;
    flags.text = app.help();
    return flags;
  } catch (const CLI::ParseError& error) {
    errors.AddText({"command line", 0, 0, ""}, error.what());
    return flags;
  }
  ReportExtras(app, errors);
  if (raw.version) {
    flags.mode = Flags::Mode::kText;
    flags.text = "iokerneld " SLUICE_VERSION "\n";
    return flags;
  }
  if (raw.list_policies) flags.mode = Flags::Mode::kListPolicies;
  if (raw.print_config) flags.mode = Flags::Mode::kPrintConfig;
  if (raw.check) flags.mode = Flags::Mode::kCheck;
  flags.config = raw.config;
  ConfigDraft& draft = flags.draft;
  draft.port = Text(raw.port, "--port");
  draft.run_dir = Text(raw.run_dir, "--run-dir");
  draft.grant = Text(raw.grant, "--grant");
  draft.idle_burner = Text(raw.idle_burner, "--idle-burner");
  draft.cpu = Number(raw.cpu, "--cpu", "the number of a CPU", errors);
  draft.interval_us = Number(raw.interval_us, "--interval-us", "a whole number of microseconds", errors);
  draft.cores = List(raw.cores, "--cores");
  draft.cores_place = {"--cores", 0, 0, ""};
  draft.address = Text(raw.address, "--address");
  draft.routes = List(raw.routes, "--route");
  draft.steering = Text(raw.steering, "--steering");
  draft.pick = Text(raw.pick, "--pick");
  draft.congestion = Text(raw.congestion, "--congestion");
  draft.placement = Text(raw.placement, "--placement");
  return flags;
}

ConfigDraft Overlay(ConfigDraft file, const ConfigDraft& flags) {
  const auto over = [](auto& below, const auto& above) {
    if (above) below = above;
  };
  over(file.port, flags.port);
  over(file.run_dir, flags.run_dir);
  over(file.grant, flags.grant);
  over(file.idle_burner, flags.idle_burner);
  over(file.cpu, flags.cpu);
  over(file.interval_us, flags.interval_us);
  over(file.cores, flags.cores);
  if (flags.cores) file.cores_place = flags.cores_place;
  over(file.address, flags.address);
  over(file.routes, flags.routes);
  over(file.steering, flags.steering);
  over(file.pick, flags.pick);
  over(file.congestion, flags.congestion);
  over(file.placement, flags.placement);
  return file;
}

}  // namespace sluice
