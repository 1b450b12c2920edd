// FlowMap: rte_hash keeps its promises, its positions come back after a delete, its memory is as computed.
#include "policies/steering/flow_map.h"

#include <gtest/gtest.h>
#include <rte_malloc.h>

#include <random>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "tests/lib/eal.h"
#include "tests/unit/policies/fake_app.h"

namespace sluice {
namespace {

class FlowMapTest : public ::testing::Test {
 protected:
  void SetUp() override { testing::StartEal(); }
};

uint64_t EalBytesInUse() {
  uint64_t bytes = 0;
  for (int socket = 0; socket < 8; socket++) {
    rte_malloc_socket_stats stats{};
    if (rte_malloc_get_socket_stats(socket, &stats) == 0) bytes += stats.heap_allocsz_bytes;
  }
  return bytes;
}

TEST_F(FlowMapTest, AgreesWithAnUnorderedMap) {
  for (uint32_t seed = 1; seed <= 20; seed++) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    auto map = FlowMap::Make(300);
    ASSERT_TRUE(map.has_value()) << map.error();
    std::unordered_map<uint32_t, int32_t> model;
    std::unordered_set<int32_t> taken;
    for (int step = 0; step < 5000; step++) {
      const uint32_t key = static_cast<uint32_t>(random() % 600) * 0x10001u;
      if (random() % 2 == 0) {
        if (model.size() == 300 && model.count(key) == 0) continue;
        const int32_t position = map->Insert(key);
        ASSERT_GE(position, 0);
        ASSERT_LT(static_cast<uint32_t>(position), map->positions());
        if (model.count(key) != 0) {
          ASSERT_EQ(model[key], position);
        } else {
          ASSERT_TRUE(taken.insert(position).second) << "a position was given twice";
          model[key] = position;
        }
        ASSERT_EQ(map->KeyAt(position), key);
      } else if (model.count(key) != 0) {
        map->Erase(key);
        taken.erase(model[key]);
        model.erase(key);
      }
      std::vector<uint32_t> keys(1 + random() % FlowMap::kBurst);
      for (uint32_t& k : keys) k = static_cast<uint32_t>(random() % 600) * 0x10001u;
      std::vector<int32_t> position(keys.size());
      map->FindBurst(keys, position.data());
      for (size_t i = 0; i < keys.size(); i++) {
        const auto found = model.find(keys[i]);
        if (found == model.end()) {
          ASSERT_LT(position[i], 0);
        } else {
          ASSERT_EQ(position[i], found->second);
        }
        ASSERT_EQ(map->Find(keys[i]) < 0, found == model.end());
      }
    }
  }
}

// rte_hash has flags with which a delete keeps the position until it is freed by hand: the table would be full for
// good after as many inserts as it has positions.
TEST_F(FlowMapTest, PositionsOfDeletedFlowsAreUsedAgain) {
  auto map = FlowMap::Make(100);
  ASSERT_TRUE(map.has_value()) << map.error();
  for (uint32_t key = 0; key < 10'000; key++) {
    ASSERT_GE(map->Insert(key), 0) << "after " << key << " inserts and deletes";
    map->Erase(key);
  }
}

// rte_hash compares key 0 with the dummy key of an empty slot, if their signatures are equal.
TEST_F(FlowMapTest, FlowHashZeroIsNotInsertedTwice) {
  auto map = FlowMap::Make(8);  // few buckets, so that key 0 has neighbours
  ASSERT_TRUE(map.has_value()) << map.error();
  for (uint32_t key = 1; key < 8; key++) ASSERT_GE(map->Insert(key), 0);
  const int32_t position = map->Insert(0);
  for (uint32_t key = 1; key < 8; key++) map->Erase(key);
  EXPECT_EQ(map->Insert(0), position);
  map->Erase(0);
  EXPECT_LT(map->Find(0), 0);
}

TEST_F(FlowMapTest, HoldsAsManyFlowsAsAskedFor) {
  // The hard sizes: full buckets at a power of two, and just below.
  for (const uint32_t flows : {1u, 7u, 8u, 64u, 100u, 1024u, 65'536u, 61'000u, 700'000u}) {
    auto map = FlowMap::Make(flows);
    ASSERT_TRUE(map.has_value()) << map.error();
    uint32_t refused = 0;
    for (uint32_t i = 0; i < flows; i++) refused += map->Insert(testing::FlowHash(flows + i)) < 0 ? 1 : 0;
    EXPECT_EQ(refused, 0u) << "of " << flows;
  }
}

TEST_F(FlowMapTest, MemoryIsAsComputed) {
  for (const uint32_t flows : {1u, 1000u, 65'536u, 700'000u}) {
    const uint64_t before = EalBytesInUse();
    {
      const auto map = FlowMap::Make(flows);
      ASSERT_TRUE(map.has_value()) << map.error();
      const uint64_t used = EalBytesInUse() - before;
      EXPECT_LE(used, FlowMap::MemoryBytes(flows));
      EXPECT_GE(used + 8192, FlowMap::MemoryBytes(flows)) << "computed far too much";
      EXPECT_EQ(map->positions(), FlowMap::Positions(flows));
    }
    EXPECT_EQ(EalBytesInUse(), before) << "freed with the table";
  }
}

}  // namespace
}  // namespace sluice
