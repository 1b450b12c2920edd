// port_args.h - from "af_xdp:veth0" to what DPDK must be told, and what can be checked before.
//
// Thread: control.
#pragma once

#include <string>
#include <tl/expected.hpp>

#include "iokernel/dataplane/settings.h"

namespace sluice {

struct PortArguments {
  std::string device;     // DPDK's name of the device
  std::string arguments;  // of a virtual device
  std::string interface;  // of Linux, if there is one
  std::string warning;
  bool virtual_device = true;
};

// Error: a sentence with the cause and the way out, for what shows before DPDK is asked.
[[nodiscard]] tl::expected<PortArguments, std::string> MakePortArguments(const PortConfig& config,
                                                                         const std::string& unique);

// Why DPDK could not open it: our own finding if we have one, else DPDK's words.
[[nodiscard]] std::string WhyPortFailed(const PortConfig& config, const std::string& dpdk_says);

}  // namespace sluice
