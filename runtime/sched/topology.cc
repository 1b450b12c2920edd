#include "runtime/sched/topology.h"

#include <fstream>
#include <string>

namespace sluice::sched {

Topology Topology::Read() {
  Topology topology;
  for (uint32_t cpu = 0; cpu < kMaxCpus; ++cpu) {
    std::ifstream file("/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/thread_siblings_list");
    // "3", "3,67" or "6-7".
    uint32_t first;
    uint32_t second = kNone;
    char separator;
    if (!(file >> first)) break;
    if (file >> separator) file >> second;
    topology.sibling_.push_back(first == cpu ? second : first);
  }
  return topology;
}

}  // namespace sluice::sched
