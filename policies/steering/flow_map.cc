// flow_map.cc - rte_hash, its flags and its memory.
#include "policies/steering/flow_map.h"

#include <nmmintrin.h>
#include <rte_errno.h>
#include <rte_hash.h>
#include <rte_lcore.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdio>

#include "iokernel/abi/check.h"

namespace sluice {
namespace {

// The flow hash may leave bits unused (a port's hash of few queues, a test's counter); CRC spreads it over all 32.
// One instruction inline instead of an indirect call per key, as rte_hash would make. It starts from ~0, because key
// 0 must not have signature 0: rte_hash would take an empty slot for that key, overlook it in a later slot of the
// bucket, and insert it a second time.
uint32_t Signature(uint32_t key) { return _mm_crc32_u32(~uint32_t{0}, key); }

uint32_t SignatureFunction(const void* key, uint32_t /*length*/, uint32_t /*init*/) {
  return Signature(*static_cast<const uint32_t*>(key));
}

// rte_hash's default for a 4-byte key is a call of memcmp, which doubles the cost of a lookup among 700 000 flows.
int CompareKeys(const void* a, const void* b, size_t /*length*/) {
  return *static_cast<const uint32_t*>(a) != *static_cast<const uint32_t*>(b) ? 1 : 0;
}

}  // namespace

// rte_hash makes 8-slot buckets for the next power of two above `entries`. Beyond 7/8 full, an insert may find no
// way to make room; so where `flows` is that near to a power of two, the table is made one size larger.
uint32_t FlowMap::Positions(uint32_t flows) {
  const uint32_t slots = std::bit_ceil(std::max<uint32_t>(flows, 64));
  const uint64_t comfortable = uint64_t{slots} * 7 / 8;
  return flows <= comfortable ? std::max<uint32_t>(flows, 64) : slots + 1;
}

uint64_t FlowMap::MemoryBytes(uint32_t flows) {
  const uint64_t entries = Positions(flows);
  const uint64_t buckets = std::bit_ceil(entries) / 8 * 64;
  const uint64_t keys = (entries + 1) * 16;
  const uint64_t free_positions = std::bit_ceil(entries + 1) * sizeof(uint32_t);
  // The table's and the ring's heads, and a header and alignment for each of six allocations.
  return buckets + keys + free_positions + 4096;
}

tl::expected<FlowMap, std::string> FlowMap::Make(uint32_t flows) {
  if (flows == 0 || flows > kMaxFlows) {
    return tl::unexpected("a flow table holds 1 to " + std::to_string(kMaxFlows) + " flows, not " +
                          std::to_string(flows));
  }
  // Tables are found by name inside DPDK; two of one app may exist for a moment, while one is being replaced.
  static std::atomic<uint32_t> serial{0};
  char name[RTE_HASH_NAMESIZE];
  std::snprintf(name, sizeof(name), "flows%u", serial.fetch_add(1, std::memory_order_relaxed));

  rte_hash_parameters parameters = {};
  parameters.name = name;
  parameters.entries = Positions(flows);
  parameters.key_len = sizeof(uint32_t);
  parameters.hash_func = SignatureFunction;
  parameters.socket_id = SOCKET_ID_ANY;
  // No flags. One thread reads and writes, so nothing needs a lock; and a delete gives the position back at once.
  // (The lock-free flag has a lookup that is up to 3 % faster, but leaves freed positions to be returned by hand.)
  rte_hash* table = rte_hash_create(&parameters);
  if (table == nullptr) {
    return tl::unexpected("no memory for a table of " + std::to_string(flows) + " flows, which takes " +
                          std::to_string((MemoryBytes(flows) >> 20) + 1) + " MB of DPDK's memory: " +
                          rte_strerror(rte_errno) + "; start with more memory or fewer flows");
  }
  rte_hash_set_cmp_func(table, CompareKeys);
  const auto positions = static_cast<uint32_t>(rte_hash_max_key_id(table));  // they are 0 .. id-1
  return FlowMap(table, positions);
}

void FlowMap::Free::operator()(rte_hash* table) const { rte_hash_free(table); }

void FlowMap::FindBurst(std::span<const uint32_t> keys, int32_t* position) const {
  const void* pointers[kBurst];
  uint32_t signatures[kBurst];
  for (size_t i = 0; i < keys.size(); i++) {
    pointers[i] = &keys[i];
    signatures[i] = Signature(keys[i]);
  }
  rte_hash_lookup_with_hash_bulk(table_.get(), pointers, signatures, static_cast<uint32_t>(keys.size()), position);
}

int32_t FlowMap::Find(uint32_t key) const { return rte_hash_lookup_with_hash(table_.get(), &key, Signature(key)); }

int32_t FlowMap::Insert(uint32_t key) { return rte_hash_add_key_with_hash(table_.get(), &key, Signature(key)); }

uint32_t FlowMap::KeyAt(int32_t position) const {
  void* key = nullptr;
  const int found = rte_hash_get_key_with_position(table_.get(), position, &key);
  SLUICE_CHECK(found == 0, "no key at a position that was taken");
  return *static_cast<const uint32_t*>(key);
}

void FlowMap::Erase(uint32_t key) {
  const int32_t position = rte_hash_del_key_with_hash(table_.get(), &key, Signature(key));
  SLUICE_CHECK(position >= 0, "a flow that is in the table could not be deleted");
}

}  // namespace sluice
