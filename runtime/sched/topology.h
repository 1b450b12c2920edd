// topology.h - which CPUs are hyperthreads of one core, as the kernel tells.
#pragma once

#include <cstdint>
#include <vector>

namespace sluice::sched {

class Topology {
 public:
  static constexpr uint32_t kMaxCpus = 1024;
  static constexpr uint32_t kNone = ~uint32_t{0};

  // Reads /sys. A CPU that cannot be read about has no sibling.
  static Topology Read();

  // The other hyperthread of `cpu`'s core, or kNone.
  [[nodiscard]] uint32_t SiblingOf(uint32_t cpu) const { return cpu < sibling_.size() ? sibling_[cpu] : kNone; }

 private:
  std::vector<uint32_t> sibling_;  // by CPU
};

}  // namespace sluice::sched
