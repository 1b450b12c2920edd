#include "tests/sim/dst.h"

#include <algorithm>

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
  return failure + "\nreplay: SLUICE_SEED=" + std::to_string(seed) +
         " dst_test --gtest_filter='Worlds.InvariantsHold*'\nshrunk to " +
         std::to_string(std::count(pieces.begin(), pieces.end(), true)) + " pieces, on " + again.Describe() + ":\n" +
         trace + "  " + shrunk;
}

}  // namespace sluice::test
