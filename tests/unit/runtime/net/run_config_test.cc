// run_config_test.cc - what RunConfig::FromArgs takes out of the arguments, and what it leaves.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "sluice/run.h"

namespace sluice {
namespace {

struct Parsed {
  RunConfig config;
  std::vector<std::string> left;
};

Parsed Parse(std::vector<std::string> arguments) {
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (std::string& a : arguments) argv.push_back(a.data());
  argv.push_back(nullptr);
  int argc = static_cast<int>(arguments.size());
  Parsed parsed;
  parsed.config = RunConfig::FromArgs(argc, argv.data());
  EXPECT_EQ(argv[argc], nullptr);
  parsed.left.assign(argv.begin(), argv.begin() + argc);
  return parsed;
}

using Strings = std::vector<std::string>;

TEST(RunConfig, TakesItsOwnAndKeepsTheOrderOfTheOthers) {
  const Parsed p = Parse(
      {"app", "-a", "--sluice-run-dir", "/d", "b", "--sluice-name=web", "--sluice-address", "10.0.0.9", "--rate", "5"});
  EXPECT_EQ(p.left, (Strings{"app", "-a", "b", "--rate", "5"}));
  EXPECT_EQ(p.config.run_dir, "/d");
  EXPECT_EQ(p.config.name, "web");
  EXPECT_EQ(p.config.address, 0x0a000009u);
  EXPECT_EQ(p.config.problem, "");
}

TEST(RunConfig, WithoutArgumentsEverythingIsAsConfigured) {
  const Parsed p = Parse({"app"});
  EXPECT_EQ(p.left, Strings{"app"});
  EXPECT_EQ(p.config.run_dir, "");
  EXPECT_EQ(p.config.address, 0u);
  EXPECT_EQ(p.config.problem, "");
}

TEST(RunConfig, LeavesWhatFollowsTwoDashes) {
  const Parsed p = Parse({"app", "--sluice-name", "x", "--", "--sluice-name", "y"});
  EXPECT_EQ(p.left, (Strings{"app", "--", "--sluice-name", "y"}));
  EXPECT_EQ(p.config.name, "x");
}

TEST(RunConfig, AMissingOrWrongValueIsAProblem) {
  EXPECT_NE(Parse({"app", "--sluice-name"}).config.problem.find("--sluice-name"), std::string::npos);
  EXPECT_NE(Parse({"app", "--sluice-run-dir="}).config.problem.find("--sluice-run-dir"), std::string::npos);
  const std::string problem = Parse({"app", "--sluice-address", "ten"}).config.problem;
  EXPECT_NE(problem.find("'ten'"), std::string::npos);
  EXPECT_NE(problem.find("10.0.0.2"), std::string::npos);
}

TEST(RunConfig, ALongerOptionIsNotOurs) {
  EXPECT_EQ(Parse({"app", "--sluice-names", "x"}).left, (Strings{"app", "--sluice-names", "x"}));
}

TEST(Run, AProblemEndsBeforeAnythingIsTried) {
  RunConfig config;
  config.problem = "it is wrong";
  testing::internal::CaptureStderr();
  EXPECT_EQ(sluice::Run(config, [] { return 0; }), kExitUsage);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "sluice: it is wrong\n");
}

TEST(Run, ANameThatDoesNotFitSaysWhatToDo) {
  RunConfig config;
  config.name = std::string(32, 'n');
  testing::internal::CaptureStderr();
  EXPECT_EQ(sluice::Run(config, [] { return 0; }), kExitUsage);
  EXPECT_NE(testing::internal::GetCapturedStderr().find("longer than 31 bytes; give it another: --sluice-name"),
            std::string::npos);
}

}  // namespace
}  // namespace sluice
