#include <gtest/gtest.h>

#include "sluice/sync.h"
#include "tests/lib/test_runtime.h"

namespace sluice {
namespace {

using test::Runtime;

TEST(Uthread, RunsAndIsJoined) {
  Runtime runtime({.kthreads = 2});
  int value = 0;
  runtime.Run([&] {
    Thread thread([&] { value = 42; });
    thread.Join();
    EXPECT_EQ(value, 42);
  });
}

TEST(Uthread, YieldsInTurns) {
  Runtime runtime({.kthreads = 1});
  std::string order;
  runtime.Run([&] {
    Thread a([&] {
      for (int i = 0; i < 100; ++i, Yield()) order += 'a';
    });
    Thread b([&] {
      for (int i = 0; i < 100; ++i, Yield()) order += 'b';
    });
    a.Join();
    b.Join();
  });
  for (size_t i = 0; i < order.size(); ++i) EXPECT_EQ(order[i], i % 2 == 0 ? 'a' : 'b') << i;
  EXPECT_EQ(order.size(), 200u);
}

}  // namespace
}  // namespace sluice
