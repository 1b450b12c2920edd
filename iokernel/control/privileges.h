// privileges.h - what this process may not do, and what for it would need to.
#pragma once

#include <string>
#include <vector>

#include "iokernel/control/config.h"

namespace sluice {

struct Privileges {
  std::vector<std::string> missing;  // without these the port cannot be opened; the last line is the way out
  std::vector<std::string> reduced;  // without these something works less well
};

Privileges CheckPrivileges(const Config& config);

}  // namespace sluice
