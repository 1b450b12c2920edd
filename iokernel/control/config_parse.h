// config_parse.h - iokerneld's command line and config file to a checked Config.
//
// Looks, never touches: no root, no EAL, nothing created. All errors are found in one go, each as
//   FILE:LINE:COLUMN: what: got ..., allowed: ..., did you mean ...?      or      --flag: got ..., ...
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "iokernel/control/config.h"
#include "iokernel/control/config_draft.h"
#include "iokernel/control/machine.h"

namespace sluice {

enum class CommandMode {
  kRun,
  kPrint,    // `output` is to be printed, exit 0: --help, --version, --check, --print-config, --list-policies
  kInvalid,  // `errors` are to be printed, exit 2
};

struct CommandLine {
  CommandMode mode = CommandMode::kInvalid;
  Config config;
  std::string output;
  std::vector<std::string> errors;
};

// argv without the program's name.
CommandLine ParseCommandLine(std::span<const char* const> arguments, const MachineFacts& machine);

// The steps of it.
Config CheckConfig(const ConfigDraft& draft, const MachineFacts& machine, ConfigErrors& errors);
std::string PrintConfig(const Config& config);  // TOML that parses back to the same

// "af_xdp:veth0", ...: one line each, for whoever gave no port.
std::string PortChoices();

// 1 to 31 letters, digits and -_.:+@
bool IsAppName(std::string_view name);

// Longest run directory: its control socket's name must fit into sockaddr_un.
inline constexpr size_t kMaxRunDir = 99;
inline constexpr uint32_t kMaxIntervalUs = 100'000;
inline constexpr uint32_t kMaxFlows = 1u << 24;
inline constexpr uint32_t kMaxSliceUs = 1'000'000;

}  // namespace sluice
