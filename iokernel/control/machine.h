// machine.h - what the configuration is checked against: the CPUs and interfaces that this machine has.
//
// Read once, by looking only; tests make their own.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sluice {

struct MachineFacts {
  std::vector<uint16_t> cpus;            // online, ascending
  std::vector<uint16_t> allowed;         // of these, those this process may run on
  std::vector<std::string> interfaces;   // of this network namespace
  std::vector<std::string> pci_devices;  // "0000:3b:00.0"
};

MachineFacts ReadMachineFacts();

}  // namespace sluice
