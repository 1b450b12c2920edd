// run_config.cc - RunConfig::FromArgs. See sluice/run.h.
#include <string_view>

#include "sluice/net.h"
#include "sluice/run.h"

namespace sluice {
namespace {

// Sets the field that `option` names. False if it is none of ours.
bool Apply(RunConfig* config, std::string_view option, std::string_view value) {
  if (option == "--sluice-run-dir") {
    config->run_dir = value;
  } else if (option == "--sluice-name") {
    config->name = value;
  } else if (option == "--sluice-address") {
    if (const auto address = ParseAddress(value); address && *address != 0) {
      config->address = *address;
    } else {
      config->problem = "--sluice-address: got '" + std::string(value) + "', expected an IPv4 address such as 10.0.0.2";
    }
  } else {
    return false;
  }
  if (value.empty() && config->problem.empty()) config->problem = std::string(option) + ": a value is missing";
  return true;
}

}  // namespace

RunConfig RunConfig::FromArgs(int& argc, char** argv) {
  RunConfig config;
  int kept = argc > 0 ? 1 : 0;
  for (int i = kept; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--") {  // what follows is none of ours
      while (i < argc) argv[kept++] = argv[i++];
      break;
    }
    const size_t equals = argument.find('=');
    const bool joined = equals != std::string_view::npos;
    const bool has_value = joined || i + 1 < argc;
    const std::string_view value = joined ? argument.substr(equals + 1) : has_value ? argv[i + 1] : "";
    if (!Apply(&config, argument.substr(0, equals), value)) {
      argv[kept++] = argv[i];
    } else if (!joined && has_value) {
      ++i;
    }
  }
  argc = kept;
  argv[argc] = nullptr;
  return config;
}

}  // namespace sluice
