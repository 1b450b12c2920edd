// config_parse.cc - from the command line to a checked Config, or to what is to be printed instead.
#include "iokernel/control/config_parse.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "iokernel/control/flags.h"
#include "policies/registry.h"

namespace sluice {
namespace {

constexpr size_t kMaxConfigBytes = 4u << 20;

// Reports what keeps the file from being read.
std::string ReadFile(const std::string& name, ConfigErrors& errors) {
  const Place place{"--config", 0, 0, ""};
  const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(name.c_str(), "re"), std::fclose);
  std::string text;
  if (file == nullptr) {
    errors.Add(place, "\"" + name + "\" (" + std::strerror(errno) + ")", "a file that can be read");
    return text;
  }
  char buffer[4096];
  size_t got;
  while ((got = std::fread(buffer, 1, sizeof buffer, file.get())) > 0 && text.size() <= kMaxConfigBytes) {
    text.append(buffer, got);
  }
  if (std::ferror(file.get()) != 0) {
    errors.Add(place, "\"" + name + "\" (" + std::strerror(errno) + ")", "a file that can be read");
    text.clear();
  } else if (text.size() > kMaxConfigBytes) {
    errors.Add(place, "\"" + name + "\", larger than 4 MiB", "a TOML file");
    text.clear();
  }
  return text;
}

std::string PolicyListing() {
  std::string text;
  const PolicyInfo* previous = nullptr;
  for (const PolicyInfo& policy : PolicyList()) {
    const bool first = previous == nullptr || previous->kind != policy.kind;
    if (first) text += (text.empty() ? "" : "\n") + std::string(PolicyKindName(policy.kind)) + "\n";
    std::string name = "  " + std::string(policy.name);
    name.resize(std::max<size_t>(name.size() + 2, 26), ' ');
    text.append(name).append(policy.summary).append(first ? " (the default)\n" : "\n");
    if (!policy.usage.empty()) text.append(26, ' ').append(policy.usage).append("\n");
    previous = &policy;
  }
  return text;
}

}  // namespace

CommandLine ParseCommandLine(std::span<const char* const> arguments, const MachineFacts& machine) {
  CommandLine result;
  ConfigErrors errors;
  const Flags flags = ReadFlags(arguments, errors);
  if (flags.mode == Flags::Mode::kText) {
    result.mode = CommandMode::kPrint;
    result.output = flags.text;
    return result;
  }
  ConfigDraft draft;
  if (flags.config) {
    const std::string text = ReadFile(*flags.config, errors);
    draft = ReadToml(text, *flags.config, errors);
  }
  draft = Overlay(std::move(draft), flags.draft);
  const bool understood = errors.empty();  // else a port may be in what was not
  result.config = CheckConfig(draft, machine, errors);
  const bool needs_port = flags.mode == Flags::Mode::kRun;
  result.errors = errors.Sorted();
  if (needs_port && understood && !draft.port) {
    result.errors.push_back("--port: got none, allowed:\n" + PortChoices());
  }
  if (!result.errors.empty()) return result;
  result.mode = needs_port ? CommandMode::kRun : CommandMode::kPrint;
  if (flags.mode == Flags::Mode::kCheck) result.output = "nothing wrong\n";
  if (flags.mode == Flags::Mode::kPrintConfig) result.output = PrintConfig(result.config);
  if (flags.mode == Flags::Mode::kListPolicies) result.output = PolicyListing();
  return result;
}

}  // namespace sluice
