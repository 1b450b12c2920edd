// machine.h - a made-up machine for tests of the config: CPUs 0-7, of which 0-5 may be used, two interfaces.
#pragma once

#include <string>
#include <vector>

#include "iokernel/control/config_parse.h"

namespace sluice {

inline MachineFacts TestMachine() {
  MachineFacts machine;
  machine.cpus = {0, 1, 2, 3, 4, 5, 6, 7};
  machine.allowed = {0, 1, 2, 3, 4, 5};
  machine.interfaces = {"lo", "veth0"};
  machine.pci_devices = {"0000:3b:00.0"};
  return machine;
}

struct Checked {
  Config config;
  std::vector<std::string> errors;
};

inline Checked CheckToml(const std::string& toml, const MachineFacts& machine = TestMachine()) {
  ConfigErrors errors;
  Checked checked;
  checked.config = CheckConfig(ReadToml(toml, "s.toml", errors), machine, errors);
  checked.errors = errors.Sorted();
  return checked;
}

inline CommandLine RunFlags(const std::vector<const char*>& flags, const MachineFacts& machine = TestMachine()) {
  return ParseCommandLine(flags, machine);
}

}  // namespace sluice
