// flow_map.h - DPDK's rte_hash as a set of 32-bit flow hashes, each at a position below positions().
//
// The one file pair of the policies that knows DPDK. Needs an initialised EAL, whose memory it takes (MemoryBytes).
// Made and freed on the control thread; used by one thread in between.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <tl/expected.hpp>

struct rte_hash;

namespace sluice {

class FlowMap {
 public:
  static constexpr size_t kBurst = 32;  // most keys of one FindBurst
  static constexpr uint32_t kMaxFlows = 1u << 26;

  // Room for at least `flows` keys. Error: no EAL, or not enough of its memory; a sentence.
  static tl::expected<FlowMap, std::string> Make(uint32_t flows);
  // EAL memory that Make(flows) takes.
  static uint64_t MemoryBytes(uint32_t flows);
  // What Make(flows).positions() will be.
  static uint32_t Positions(uint32_t flows);

  [[nodiscard]] uint32_t positions() const { return positions_; }

  // position[i]: of keys[i], or negative if it is not there. 1 to kBurst keys.
  void FindBurst(std::span<const uint32_t> keys, int32_t* position) const;
  [[nodiscard]] int32_t Find(uint32_t key) const;  // negative: not there
  // The key's position, new or old; negative if there is no room for it (possible before all positions are taken).
  [[nodiscard]] int32_t Insert(uint32_t key);
  // The key at a position that is taken.
  [[nodiscard]] uint32_t KeyAt(int32_t position) const;
  // The key is there. Its position is free for the next Insert.
  void Erase(uint32_t key);

 private:
  struct Free {
    void operator()(rte_hash* table) const;
  };
  FlowMap(rte_hash* table, uint32_t positions) : table_(table), positions_(positions) {}

  std::unique_ptr<rte_hash, Free> table_;
  uint32_t positions_ = 0;
};

}  // namespace sluice
