// Built with a bug in the grant handshake (SLUICE_PLANTED_BUG, iokernel/abi/grant.h): the worlds must find it.
#include <gtest/gtest.h>

#include "tests/sim/dst.h"

namespace sluice::test {
namespace {

TEST(PlantedBuild, ALostWakeUpIsFound) {
  if (const auto seed = SeedAsked()) {
    EXPECT_EQ(TryWorld(*seed), "");
    return;
  }
  for (uint64_t seed = 1; seed <= 300; seed++) {
    const std::string failure = TryWorld(seed);
    if (failure.empty()) continue;
    EXPECT_NE(failure.find("dst_planted_test --gtest_filter='PlantedBuild.ALostWakeUpIsFound'"), std::string::npos);
    return;
  }
  FAIL() << "no world noticed";
}

}  // namespace
}  // namespace sluice::test
