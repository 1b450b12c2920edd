// port_config.h - the notation of ports: "af_xdp:veth0", "tap:sluice0", "pci:0000:3b:00.0", "null" ...
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "iokernel/control/config.h"
#include "iokernel/control/config_draft.h"
#include "iokernel/control/machine.h"

namespace sluice {

// Reports what is wrong with it, its interface or device not being there included.
std::optional<PortConfig> CheckPort(const Written<std::string>& text, const MachineFacts& machine,
                                    ConfigErrors& errors);

}  // namespace sluice
