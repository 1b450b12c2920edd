// Thousands of random worlds; and worlds with a bug in them, to see that the checks bite.
//
//   SLUICE_SEED=N         replays one world; a failure prints the command
//   SLUICE_DST_SECONDS=N  how long each half looks for a failing one
//   SLUICE_TEST_FULL=1    ten minutes each
#include "tests/sim/dst.h"

#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "tests/sim/shrink.h"

namespace sluice::test {
namespace {

constexpr uint64_t kSecondsEach = 25;  // two halves, side by side
constexpr uint64_t kAtLeast = 200;     // worlds, however slow the machine
std::string replay;                    // of the world that runs

extern "C" void SaySeed(int) {
  std::fprintf(stderr, "aborted; replay: %s\n", replay.c_str());
  std::signal(SIGABRT, SIG_DFL);
}

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 0) : otherwise;
}

void TryHalf(uint64_t half) {
  std::signal(SIGABRT, SaySeed);
  if (const auto seed = SeedAsked()) {
    replay = ReplayCommand(*seed);
    EXPECT_EQ(TryWorld(*seed), "");
    return;
  }
  const uint64_t seconds =
      FromEnvironment("SLUICE_DST_SECONDS", std::getenv("SLUICE_TEST_FULL") != nullptr ? 600 : kSecondsEach);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  uint64_t worlds = 0, grants = 0, cedes = 0, evictions = 0, lies = 0, signals = 0, deferred = 0, slices = 0;
  for (; worlds < kAtLeast || std::chrono::steady_clock::now() < end; ++worlds) {
    const uint64_t seed = 1 + 2 * worlds + half;
    replay = ReplayCommand(seed);
    World world(seed);
    if (!world.Run(World::AllPieces()).empty()) FAIL() << TryWorld(seed);
    const AllocatorCounters& c = world.counters();
    grants += c.grants, cedes += c.cedes, evictions += c.evictions;
    lies += c.lies, signals += c.signals, deferred += c.deferred, slices += c.slices;
  }
  std::signal(SIGABRT, SIG_DFL);
  std::printf("%llu worlds of %u steps\n", static_cast<unsigned long long>(worlds), World::kSteps);
  // The worlds went where the bugs would be.
  EXPECT_GT(grants, 10 * worlds);
  EXPECT_GT(cedes, worlds);
  EXPECT_GT(signals, worlds / 10);
  EXPECT_GT(evictions, worlds / 100);
  EXPECT_GT(lies, worlds / 10);
  EXPECT_GT(deferred, worlds / 10);
  EXPECT_GT(slices, worlds);
}

TEST(Worlds, InvariantsHoldInOddOnes) { TryHalf(0); }
TEST(Worlds, InvariantsHoldInEvenOnes) { TryHalf(1); }

struct Bug {
  Planted planted;
  const char* what;  // the broken promise that gives it away
};
class PlantedBug : public ::testing::TestWithParam<Bug> {};

TEST_P(PlantedBug, IsFoundWithinAHundredSeedsAndShrunk) {
  const auto& [planted, what] = GetParam();
  if (const auto seed = SeedAsked()) {
    EXPECT_EQ(TryWorld(*seed, planted), "");
    return;
  }
  for (uint64_t seed = 1; seed <= 100; seed++) {
    const std::string failure = TryWorld(seed, planted);
    if (failure.find(what) == std::string::npos) continue;
    EXPECT_NE(failure.find("replay: " + ReplayCommand(seed)), std::string::npos);
    EXPECT_LT(std::count(failure.begin(), failure.end(), '\n'), 200) << failure;
    return;
  }
  FAIL() << "no world noticed";
}

INSTANTIATE_TEST_SUITE_P(All, PlantedBug,
                         ::testing::Values(Bug{Planted::kBrokenGuarantee, "is owed a core"},
                                           Bug{Planted::kForgottenSend, "is owed a core"},
                                           Bug{Planted::kSecondIssuer, "invariant 1"},
                                           Bug{Planted::kDeafCongestion, "congested, is owed a core"},
                                           Bug{Planted::kNoSharing, "is shut out"},
                                           Bug{Planted::kLostSignals, "is not signalled"}));

TEST(Shrink, FindsTheTwoPiecesThatMatter) {
  const auto fails = [](const std::vector<bool>& pieces) { return pieces[17] && pieces[801]; };
  const std::vector<bool> left = Shrink(std::vector<bool>(1000, true), fails);
  EXPECT_EQ(std::count(left.begin(), left.end(), true), 2);
  EXPECT_TRUE(fails(left));
}

TEST(World, IsTheSameForTheSameSeed) {
  std::string first, second;
  for (std::string* text : {&first, &second}) {
    World world(11);
    world.Trace(text);
    world.Run(World::AllPieces());
  }
  EXPECT_EQ(first, second);
  EXPECT_GT(first.size(), 1000u);
}

}  // namespace
}  // namespace sluice::test
