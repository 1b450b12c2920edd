// query.h - asks a running iokerneld over its control socket.
#pragma once

#include <string>
#include <tl/expected.hpp>

#include "iokernel/abi/control.h"

namespace sluice::ctl {

// The run directory: `given`, else SLUICE_RUN_DIR, else /run/sluice.
std::string RunDirectory(const std::string& given);

// `what`: "stat", "apps", "policies", "record". One JSON text. Error: a sentence with the way out.
tl::expected<std::string, std::string> Ask(const std::string& run_dir, const std::string& what);
// The same for a command; its head is filled in here. `file`: goes with it, and stays the caller's; -1: none.
tl::expected<std::string, std::string> Order(const std::string& run_dir, abi::CommandRequest command, int file = -1);

}  // namespace sluice::ctl
