#include "iokernel/dataplane/buffer_pool.h"

#include <gtest/gtest.h>

#include <set>

namespace sluice {
namespace {

using Put = BufferPool::PutResult;

TEST(BufferPool, GivesEveryBufferOnce) {
  BufferPool pool(100, BufferOrder::kLifo);
  std::vector<uint32_t> taken(128);
  EXPECT_EQ(pool.Take(taken), 100u);
  EXPECT_EQ(std::set<uint32_t>(taken.begin(), taken.begin() + 100).size(), 100u);
  EXPECT_EQ(pool.Take(taken), 0u);
}

TEST(BufferPool, RefusesWhatDoesNotExist) {
  BufferPool pool(100, BufferOrder::kLifo);
  for (const uint64_t index : {uint64_t{100}, uint64_t{1} << 32, ~uint64_t{0}}) EXPECT_EQ(pool.Put(index), Put::kIndex);
  EXPECT_EQ(pool.free(), 100u);
}

TEST(BufferPool, RefusesABufferThatIsFree) {
  BufferPool pool(4, BufferOrder::kLifo);
  uint32_t taken[1];
  ASSERT_EQ(pool.Take(taken), 1u);
  EXPECT_EQ(pool.Put(taken[0]), Put::kOk);
  EXPECT_EQ(pool.Put(taken[0]), Put::kDouble);
  EXPECT_EQ(pool.free(), 4u);
}

TEST(BufferPool, LifoGivesTheLastReturnedFirst) {
  BufferPool pool(8, BufferOrder::kLifo);
  uint32_t taken[3];
  ASSERT_EQ(pool.Take(taken), 3u);
  for (const uint32_t buffer : taken) ASSERT_EQ(pool.Put(buffer), Put::kOk);
  uint32_t again[1];
  ASSERT_EQ(pool.Take(again), 1u);
  EXPECT_EQ(again[0], taken[2]);
}

TEST(BufferPool, FifoGoesRoundThroughAll) {
  BufferPool pool(5, BufferOrder::kFifo);
  for (uint32_t i = 0; i < 1000; ++i) {
    uint32_t taken[1];
    ASSERT_EQ(pool.Take(taken), 1u);
    EXPECT_EQ(taken[0], i % 5);
    ASSERT_EQ(pool.Put(taken[0]), Put::kOk);
  }
}

}  // namespace
}  // namespace sluice
