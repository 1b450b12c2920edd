// query.h - asks a running iokerneld over its control socket.
#pragma once

#include <string>
#include <tl/expected.hpp>

namespace sluice::ctl {

// The run directory: `given`, else SLUICE_RUN_DIR, else /run/sluice.
std::string RunDirectory(const std::string& given);

// `what`: "stat", "apps", "policies". One JSON text. Error: a sentence with the way out.
tl::expected<std::string, std::string> Ask(const std::string& run_dir, const std::string& what);

}  // namespace sluice::ctl
