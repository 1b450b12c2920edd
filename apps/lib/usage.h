// usage.h - the answer to a command line that cannot be taken. Includes CLI11: for main.cc files only.
#pragma once

#include <CLI/CLI.hpp>
#include <algorithm>
#include <string>
#include <vector>

namespace sluice::apps {

// Prints the mistake, or the help that was asked for; the exit status.
inline int Refuse(const CLI::App& app, const CLI::ParseError& error) {
  if (error.get_exit_code() != static_cast<int>(CLI::ExitCodes::ExtrasError)) return app.exit(error) == 0 ? 0 : 2;
  std::vector<std::string> words = app.remaining(true);
  std::reverse(words.begin(), words.end());  // CLI11 prints the last one first
  app.exit(CLI::ExtrasError(words));
  return 2;
}

}  // namespace sluice::apps
