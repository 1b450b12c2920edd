// The registry: names, summaries, and what an operator reads when a name is wrong.
#include "policies/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "policies/machine.h"
#include "tests/lib/eal.h"
#include "tests/unit/policies/fake_app.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Registry, ListsEveryPolicyOnceWithASummary) {
  std::set<std::string> seen;
  for (const PolicyInfo& policy : PolicyList()) {
    EXPECT_TRUE(seen.insert(std::string(PolicyKindName(policy.kind)) + "/" + std::string(policy.name)).second);
    EXPECT_FALSE(policy.summary.empty());
    EXPECT_LE(policy.summary.size(), 100u) << policy.name << ": one line";
    EXPECT_TRUE(IsPolicy(policy.kind, policy.name));
  }
  for (const char* name :
       {"steering/rss", "steering/round-robin", "steering/flow-table", "steering/flow-affinity",
        "steering/flow-affinity-hybrid", "pick/scan", "pick/memoized", "pick/lru", "congestion/standing-queue",
        "congestion/delay", "congestion/utilization", "congestion/priority-heap", "placement/simple",
        "placement/sibling-aware", "placement/numa"}) {
    EXPECT_TRUE(seen.count(name)) << name;
  }
}

TEST(Registry, NullPoliciesAreNotForUsers) {
  for (const PolicyInfo& policy : PolicyList()) EXPECT_NE(policy.name, "null");
  EXPECT_FALSE(IsPolicy(PolicyKind::kSteering, "null"));
}

TEST(Registry, ANameIsKnownOnlyInItsKind) {
  EXPECT_TRUE(IsPolicy(PolicyKind::kPick, "scan"));
  EXPECT_FALSE(IsPolicy(PolicyKind::kSteering, "scan"));
  EXPECT_FALSE(IsPolicy(PolicyKind::kPick, ""));
}

TEST(Registry, NearestNameFindsMisspellings) {
  EXPECT_EQ(NearestName(PolicyKind::kSteering, "flow-afinity"), "flow-affinity");
  EXPECT_EQ(NearestName(PolicyKind::kSteering, "flow_affinity"), "flow-affinity");
  EXPECT_EQ(NearestName(PolicyKind::kSteering, "roundrobin"), "round-robin");
  EXPECT_EQ(NearestName(PolicyKind::kSteering, "rsss"), "rss");
  EXPECT_EQ(NearestName(PolicyKind::kSteering, "flow-aff"), "flow-affinity");
  EXPECT_EQ(NearestName(PolicyKind::kPick, "memoised"), "memoized");
  EXPECT_EQ(NearestName(PolicyKind::kSteering, "xyzzy"), "");
  EXPECT_EQ(NearestName(PolicyKind::kSteering, ""), "");
}

TEST(Registry, AnUnknownNameListsTheKnownOnesAndTheNearest) {
  std::string names;  // so that a new policy breaks no test
  for (const PolicyInfo& policy : PolicyList()) {
    if (policy.kind == PolicyKind::kSteering) names += (names.empty() ? "" : ", ") + std::string(policy.name);
  }
  EXPECT_EQ(UnknownPolicy(PolicyKind::kSteering, "flow-afinity"),
            "there is no steering policy \"flow-afinity\", only " + names + "; did you mean flow-affinity?");
  EXPECT_THAT(UnknownPolicy(PolicyKind::kPick, "xyzzy"), Not(HasSubstr("did you mean")));
}

TEST(Registry, ParametersAreCheckedByTheirPolicy) {
  const auto congestion = PolicyKind::kCongestion;
  for (const char* good : {"delay", "delay:10us", "delay:500ns", "delay:5us..20us", "delay:1ms..1s", "utilization:95%",
                           "utilization:75%..95%", "utilization:1%..100%", "priority-heap:17us"}) {
    EXPECT_TRUE(IsPolicy(congestion, good)) << good;
    EXPECT_NE(MakeCongestion(good, {}), nullptr);
  }
  for (const char* bad : {"delay:",
                          "delay:10",
                          "delay:us",
                          "delay:0us",
                          "delay:-1us",
                          "delay:+1us",
                          "delay:1.5us",
                          "delay:10 us",
                          "delay: 10us",
                          "delay:10us ",
                          "delay:2s",
                          "delay:20us..5us",
                          "delay:5us..5us",
                          "delay:5us..",
                          "delay:..5us",
                          "delay:1us..2us..3us",
                          "delay:75%",
                          "delay:99999999999999999999s",
                          "delay:18446744073709551616ns",
                          "delay:18446744073709552us",
                          ":",
                          ":10us",
                          "delay:10us:",
                          "utilization:0%",
                          "utilization:101%",
                          "utilization:95",
                          "utilization:95us",
                          "priority-heap:5us..20us",
                          "standing-queue:",
                          "standing-queue:5us"}) {
    EXPECT_FALSE(IsPolicy(congestion, bad)) << bad;
  }
  EXPECT_FALSE(IsPolicy(PolicyKind::kSteering, "rss:4"));
  EXPECT_FALSE(IsPolicy(PolicyKind::kPick, "scan:"));
}

// What --list-policies says to write is what is accepted.
TEST(Registry, WrongParametersAreToldTheRightOnes) {
  EXPECT_EQ(UnknownPolicy(PolicyKind::kCongestion, "delay:10"),
            "there is no congestion policy \"delay:10\", only "
            "delay, delay:TIME or delay:LOW..HIGH (10us, the default; 5us..20us)");
  EXPECT_THAT(UnknownPolicy(PolicyKind::kCongestion, "dealy:10us"), HasSubstr("did you mean delay?"));
  EXPECT_EQ(UnknownPolicy(PolicyKind::kPick, "scan:9"), "there is no pick policy \"scan:9\", only scan");
  for (const PolicyInfo& policy : PolicyList()) {
    if (policy.usage.empty()) continue;
    EXPECT_LE(policy.usage.size(), 100u);
    EXPECT_EQ(policy.usage.substr(0, policy.name.size()), policy.name);
  }
}

TEST(Registry, MakesSteeringByName) {
  testing::StartEal();
  const SteeringOptions options{.max_kthreads = 4, .cores = 4, .flows = 1000};
  for (const PolicyInfo& policy : PolicyList()) {
    if (policy.kind != PolicyKind::kSteering) continue;
    auto made = MakeSteering(policy.name, options);
    ASSERT_TRUE(made.has_value()) << made.error();
    const auto name = std::visit([](const auto& p) { return std::decay_t<decltype(p)>::kName; }, *made);
    EXPECT_EQ(name, policy.name);
  }
  const auto unknown = MakeSteering("rsss", options);
  ASSERT_FALSE(unknown.has_value());
  EXPECT_EQ(unknown.error(), UnknownPolicy(PolicyKind::kSteering, "rsss"));
}

TEST(Registry, ATableThatDoesNotFitIsAnErrorThatSaysWhatItNeeds) {
  testing::StartEal();
  const auto made = MakeSteering("flow-affinity", {.max_kthreads = 4, .cores = 4, .flows = 60'000'000});
  ASSERT_FALSE(made.has_value());
  EXPECT_THAT(made.error(), HasSubstr("60000000 flows"));
  EXPECT_THAT(made.error(), HasSubstr(" MB of DPDK's memory"));
  EXPECT_FALSE(MakeSteering("flow-affinity", {.max_kthreads = 4, .cores = 4, .flows = 0}).has_value());
  EXPECT_FALSE(MakeSteering("flow-affinity", {.max_kthreads = 0, .cores = 4, .flows = 10}).has_value());
}

TEST(Registry, ADefaultMadeVariantSteersToTheFirstActive) {
  SteeringVariant variant;
  testing::FakeApp app(2, 2);
  app.Run(1, 0);
  const std::vector<uint32_t> hash = {1, 2, 3};
  std::vector<KthreadId> out(3);
  Hints hints;
  std::visit([&](auto& p) { p.SteerBurst(app.view(), hash, out, 0, hints); }, variant);
  EXPECT_EQ(out, (std::vector<KthreadId>{1, 1, 1}));
}

TEST(Registry, OnlyPoliciesWithATableNeedMemory) {
  EXPECT_EQ(SteeringMemoryBytes("rss", 700'000), 0u);
  EXPECT_EQ(SteeringMemoryBytes("no-such", 700'000), 0u);
  const uint64_t bytes = SteeringMemoryBytes("flow-affinity", 700'000);
  EXPECT_GE(bytes, 700'000u * 30);
  EXPECT_LE(bytes, 700'000u * 40);
}

TEST(Registry, MakesTheOtherKindsByName) {
  const std::vector<CoreId> sibling = {1, 0};
  for (const PolicyInfo& policy : PolicyList()) {
    switch (policy.kind) {
      case PolicyKind::kSteering:
        break;
      case PolicyKind::kPick: {
        const auto pick = MakePick(policy.name, 3, sibling);
        EXPECT_EQ(pick->Pick({}, 0), 0);
        pick->OnRun(0, 0);
        EXPECT_EQ(pick->Pick({}, 1), 1);
        pick->OnPark(0, 0);
        EXPECT_EQ(pick->Pick({}, 0), policy.name == "lru" ? 1 : 0);
        break;
      }
      case PolicyKind::kCongestion: {
        const auto congestion = MakeCongestion(policy.name, {.interval = 10'000});
        congestion->Attach(3, 2);
        EXPECT_EQ(congestion->Poll(3, {}, 0), Congestion::kKeep);
        congestion->OnGrant(3, 1);
        congestion->Detach(3);
        break;
      }
      case PolicyKind::kPlacement: {
        Machine machine(std::vector<CoreSpec>(1), 0);
        machine.Attach(0, {.max = 1});
        EXPECT_EQ(MakePlacement(policy.name)->Choose(machine.view(), 0).core, 0);
        break;
      }
    }
  }
}

TEST(RegistryDeathTest, MakingAnUncheckedNameIsABug) {
  EXPECT_DEATH((void)MakePlacement("no-such"), "IsPolicy");
  EXPECT_DEATH((void)MakeCongestion("no-such", {}), "IsPolicy");
  EXPECT_DEATH((void)MakePick("no-such", 1, {}), "IsPolicy");
}

}  // namespace
}  // namespace sluice
