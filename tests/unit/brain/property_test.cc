// Thousands of random worlds; and worlds with a bug in them, to see that the checks bite.
#include <gtest/gtest.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "tests/unit/brain/random_world.h"

namespace sluice::test {
namespace {

constexpr int kSteps = 300;
// A sanitizer makes a world twenty times slower.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr uint64_t kSeeds = 300;
#else
constexpr uint64_t kSeeds = 3000;
#endif
uint64_t current_seed = 0;

extern "C" void SaySeed(int) {
  std::fprintf(stderr, "aborted; replay: SLUICE_SEED=%llu brain_test --gtest_filter='RandomWorld.Invariants*'\n",
               static_cast<unsigned long long>(current_seed));
  std::signal(SIGABRT, SIG_DFL);
}

// SLUICE_SEED replays one world, SLUICE_SEEDS says how many to try.
uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 0) : otherwise;
}

TEST(RandomWorld, InvariantsHoldForEverySeed) {
  std::signal(SIGABRT, SaySeed);
  const bool replay = std::getenv("SLUICE_SEED") != nullptr;
  const uint64_t first = FromEnvironment("SLUICE_SEED", 1);
  const uint64_t count = replay ? 1 : FromEnvironment("SLUICE_SEEDS", kSeeds);
  uint64_t grants = 0, cedes = 0, evictions = 0, lies = 0, signals = 0, deferred = 0;
  for (current_seed = first; current_seed < first + count; current_seed++) {
    RandomWorld world(current_seed);
    const std::string failure = world.Run(kSteps);
    ASSERT_TRUE(failure.empty()) << failure << "\nreplay: SLUICE_SEED=" << current_seed
                                 << " brain_test --gtest_filter='RandomWorld.Invariants*'";
    const AllocatorCounters& c = world.counters();
    grants += c.grants, cedes += c.cedes, evictions += c.evictions;
    lies += c.lies, signals += c.signals, deferred += c.deferred;
  }
  std::signal(SIGABRT, SIG_DFL);
  if (replay) return;
  // The worlds went where the bugs would be.
  EXPECT_GT(grants, 10 * count);
  EXPECT_GT(cedes, count);
  EXPECT_GT(signals, count / 10);
  EXPECT_GT(evictions, count / 100);
  EXPECT_GT(lies, count / 10);
  EXPECT_GT(deferred, count / 10);
}

class PlantedBug : public testing::TestWithParam<Planted> {};

TEST_P(PlantedBug, IsFoundWithinAHundredSeeds) {
  for (uint64_t seed = 1; seed <= 100; seed++) {
    if (!RandomWorld(seed, GetParam()).Run(kSteps).empty()) return;
  }
  FAIL() << "no world noticed";
}

INSTANTIATE_TEST_SUITE_P(All, PlantedBug,
                         testing::Values(Planted::kBrokenGuarantee, Planted::kForgottenSend, Planted::kSecondIssuer));

}  // namespace
}  // namespace sluice::test
