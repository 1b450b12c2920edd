// machine.cc - see machine.h.
#include "iokernel/control/machine.h"

#include <net/if.h>
#include <sched.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string_view>
#include <system_error>

#include "iokernel/control/units.h"

namespace sluice {
namespace {

std::vector<uint16_t> OnlineCpus() {
  std::ifstream file("/sys/devices/system/cpu/online");
  std::string line, item;
  std::getline(file, line);
  std::vector<uint16_t> cpus;
  for (std::istringstream items(line); std::getline(items, item, ',');) {
    const auto range = ParseCpuItem(item);
    if (!range) continue;
    for (uint32_t cpu = range->first; cpu <= range->last; ++cpu) cpus.push_back(static_cast<uint16_t>(cpu));
  }
  return cpus;
}

// Of more CPUs than a cpu_set_t has bits.
std::vector<uint16_t> AllowedCpus() {
  std::vector<uint16_t> cpus;
  constexpr size_t kBits = 1u << 14;
  cpu_set_t* set = CPU_ALLOC(kBits);
  const size_t bytes = CPU_ALLOC_SIZE(kBits);
  CPU_ZERO_S(bytes, set);
  if (sched_getaffinity(0, bytes, set) == 0) {
    for (size_t cpu = 0; cpu < kBits; ++cpu) {
      if (CPU_ISSET_S(cpu, bytes, set)) cpus.push_back(static_cast<uint16_t>(cpu));
    }
  }
  CPU_FREE(set);
  return cpus;
}

}  // namespace

MachineFacts ReadMachineFacts() {
  MachineFacts facts;
  facts.allowed = AllowedCpus();
  facts.cpus = OnlineCpus();
  if (facts.cpus.empty()) facts.cpus = facts.allowed;  // no /sys: what we may use is what we know of
  // Not from /sys/class/net: that shows the namespace in which /sys was mounted.
  if (struct if_nameindex* list = if_nameindex()) {
    for (struct if_nameindex* entry = list; entry->if_index != 0; ++entry)
      facts.interfaces.emplace_back(entry->if_name);
    if_freenameindex(list);
  }
  std::sort(facts.interfaces.begin(), facts.interfaces.end());
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator("/sys/bus/pci/devices", none)) {
    facts.pci_devices.push_back(entry.path().filename().string());
  }
  std::sort(facts.pci_devices.begin(), facts.pci_devices.end());
  return facts;
}

}  // namespace sluice
