#include "tests/sim/dst.h"

#include <errno.h>  // program_invocation_short_name
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "tests/sim/shrink.h"

namespace sluice::test {

std::string TryWorld(uint64_t seed, Planted planted) {
  World world(seed, planted);
  std::string failure = world.Run(World::AllPieces());
  if (failure.empty()) return {};

  // What comes after the failure plays no part.
  std::vector<bool> pieces = World::AllPieces();
  pieces.resize((world.step() + size_t{1}) * World::kPiecesPerStep);
  const auto fails = [&](const std::vector<bool>& some) { return !World(seed, planted).Run(some).empty(); };
  pieces = Shrink(std::move(pieces), fails);

  std::string trace;
  World again(seed, planted);
  again.Trace(&trace);
  const std::string shrunk = again.Run(pieces);
  return failure + "\nreplay: " + ReplayCommand(seed) + "\nshrunk to " +
         std::to_string(std::count(pieces.begin(), pieces.end(), true)) + " pieces, on " + again.Describe() + ":\n" +
         trace + "  " + shrunk;
}

std::string ReplayCommand(uint64_t seed) {
  const ::testing::TestInfo& test = *::testing::UnitTest::GetInstance()->current_test_info();
  return "SLUICE_SEED=" + std::to_string(seed) + " " + program_invocation_short_name + " --gtest_filter='" +
         test.test_suite_name() + "." + test.name() + "'";
}

std::optional<uint64_t> SeedAsked() {
  const char* text = std::getenv("SLUICE_SEED");
  if (text == nullptr) return std::nullopt;
  return std::strtoull(text, nullptr, 0);
}

}  // namespace sluice::test
