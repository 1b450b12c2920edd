// allocator_setup.cc - see allocator_setup.h.
#include "iokernel/control/allocator_setup.h"

#include <numa.h>

#include <algorithm>
#include <fstream>

#include "iokernel/control/units.h"

namespace sluice {
namespace {

// The other CPUs of this one's physical core.
std::vector<uint16_t> HyperthreadsBeside(uint16_t cpu) {
  std::ifstream file("/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/thread_siblings_list");
  std::vector<uint16_t> siblings;
  for (std::string item; std::getline(file, item, ',');) {
    if (!item.empty() && item.back() == '\n') item.pop_back();
    const auto range = ParseCpuItem(item);
    if (!range) continue;
    for (uint32_t other = range->first; other <= range->last; ++other) {
      if (other != cpu) siblings.push_back(static_cast<uint16_t>(other));
    }
  }
  return siblings;
}

uint16_t NodeOf(uint16_t cpu) {
  if (numa_available() < 0) return 0;
  return static_cast<uint16_t>(std::max(0, numa_node_of_cpu(cpu)));
}

// How long a kthread may take to give its core back. Where slots share a CPU it may first have to wait for a
// scheduler tick or two, so there nothing is concluded from its silence.
constexpr uint64_t kGraceUs = 20;
constexpr uint64_t kResendUs = 200;
constexpr uint64_t kGiveUpUs = 20'000;
constexpr uint64_t kSharedGraceUs = 100;
constexpr uint64_t kSharedResendUs = 4000;

}  // namespace

AllocatorOptions MakeAllocatorOptions(const Config& config, int nic_node, const abi::TickRate& rate) {
  AllocatorOptions options;
  for (const uint16_t cpu : config.core_cpus) {
    CoreSpec core;
    core.cpu = cpu;
    core.node = NodeOf(cpu);
    if (!config.shared_cpus) {
      for (const uint16_t beside : HyperthreadsBeside(cpu)) {
        const auto slot = std::find(config.core_cpus.begin(), config.core_cpus.end(), beside);
        if (slot != config.core_cpus.end()) core.sibling = static_cast<CoreId>(slot - config.core_cpus.begin());
      }
    }
    options.cores.push_back(core);
  }
  options.nic_node = static_cast<uint16_t>(std::max(0, nic_node));
  options.shared_cpus = config.shared_cpus;
  options.interval = rate.FromUs(config.interval_us);
  options.cede_grace = rate.FromUs(config.shared_cpus ? kSharedGraceUs : kGraceUs);
  options.cede_resend = rate.FromUs(config.shared_cpus ? kSharedResendUs : kResendUs);
  options.cede_give_up = config.shared_cpus ? 0 : rate.FromUs(kGiveUpUs);
  options.slice_spacing = rate.FromUs(kSliceSpacingUs);
  options.rate = rate;
  options.pick = config.pick;
  options.congestion = config.congestion;
  options.placement = config.placement;
  return options;
}

}  // namespace sluice
