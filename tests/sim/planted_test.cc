// Built with a bug in the grant handshake (SLUICE_PLANTED_BUG, iokernel/abi/grant.h): the worlds must find it.
#include <gtest/gtest.h>

#include "tests/sim/dst.h"

namespace sluice::test {
namespace {

TEST(PlantedBuild, ALostWakeUpIsFound) {
  for (uint64_t seed = 1; seed <= 300; seed++) {
    if (!TryWorld(seed).empty()) return;
  }
  FAIL() << "no world noticed";
}

}  // namespace
}  // namespace sluice::test
