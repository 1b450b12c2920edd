// flags.h - iokerneld's command line to a draft.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "iokernel/control/config_draft.h"

namespace sluice {

struct Flags {
  enum class Mode { kRun, kCheck, kPrintConfig, kListPolicies, kText } mode = Mode::kRun;
  std::string text;                   // of kText: --help, --version
  std::optional<std::string> config;  // the file's name
  ConfigDraft draft;
};

Flags ReadFlags(std::span<const char* const> arguments, ConfigErrors& errors);

}  // namespace sluice
