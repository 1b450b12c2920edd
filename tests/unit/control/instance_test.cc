// instance_test.cc - one iokerneld per run directory and port; nothing left behind; the killed are taken over from.
#include "iokernel/control/instance.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <fstream>

#include "tests/unit/control/temp_dir.h"

namespace sluice {
namespace {

using testing::HasSubstr;

const PortConfig kNullPort{PortKind::kNull, "null", ""};

// A port whose name no other run of the tests has.
PortConfig UniquePort() {
  const std::string name = "t" + std::to_string(getpid());
  return {PortKind::kTap, "tap:" + name, name};
}

std::string Me() { return "pid " + std::to_string(getpid()) + " (control_test)"; }

TEST(InstanceTest, MakesItsFilesAndRemovesThem) {
  const TempDir dir;
  const std::string run = dir.path() + "/a/run";
  {
    const auto instance = Instance::Acquire(run, kNullPort);
    ASSERT_TRUE(instance.has_value()) << instance.error().sentence;
    struct stat status {};
    ASSERT_EQ(stat((run + "/control").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode, static_cast<mode_t>(S_IFSOCK | 0660));
    ASSERT_EQ(stat(run.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0755u);
    pid_t pid = 0;
    std::ifstream(run + "/pid") >> pid;
    EXPECT_EQ(pid, getpid());
  }
  EXPECT_EQ(access(run.c_str(), F_OK), -1);
}

TEST(InstanceTest, ADirectoryThatWasThereStays) {
  const TempDir dir;
  { ASSERT_TRUE(Instance::Acquire(dir.path(), kNullPort).has_value()); }
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

TEST(InstanceTest, TheSameDirectoryAgainNamesThePid) {
  const TempDir dir;
  const std::string run = dir.path() + "/run";
  const auto first = Instance::Acquire(run, kNullPort);
  ASSERT_TRUE(first.has_value());
  const auto second = Instance::Acquire(run, kNullPort);
  ASSERT_FALSE(second.has_value());
  EXPECT_TRUE(second.error().in_use);
  EXPECT_EQ(second.error().sentence, "the run directory " + run + " is in use by " + Me() +
                                         "; stop it, or start this one with another --run-dir");
  EXPECT_EQ(access((run + "/control").c_str(), F_OK), 0) << "the refused one has taken the first one's files away";
}

TEST(InstanceTest, TheSamePortAgainNamesThePid) {
  const TempDir dir;
  const auto first = Instance::Acquire(dir.path() + "/a", UniquePort());
  ASSERT_TRUE(first.has_value()) << first.error().sentence;
  const auto second = Instance::Acquire(dir.path() + "/b", UniquePort());
  ASSERT_FALSE(second.has_value());
  EXPECT_TRUE(second.error().in_use);
  EXPECT_EQ(second.error().sentence, "the port " + UniquePort().text + " is in use by " + Me() +
                                         "; stop it, or start this one with another --port");
  EXPECT_EQ(access((dir.path() + "/b").c_str(), F_OK), -1) << "something was left behind";
}

TEST(InstanceTest, WhatAKilledOneLeftIsTakenOverAndThenRemoved) {
  const TempDir dir;
  const std::string run = dir.path() + "/run";
  const pid_t child = fork();
  if (child == 0) {
    const auto instance = Instance::Acquire(run, UniquePort());
    if (instance.has_value()) kill(getpid(), SIGKILL);
    _exit(1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  ASSERT_EQ(access((run + "/control").c_str(), F_OK), 0);
  {
    const auto next = Instance::Acquire(run, UniquePort());
    ASSERT_TRUE(next.has_value()) << next.error().sentence;
  }
  EXPECT_EQ(access(run.c_str(), F_OK), -1) << "the directory that the killed one made is left behind";
}

TEST(InstanceTest, ADirectoryThatCannotBeMadeIsToldWithTheWayOut) {
  const TempDir dir;
  std::ofstream(dir.path() + "/file") << "x";
  const auto refused = Instance::Acquire(dir.path() + "/file/run", kNullPort);
  ASSERT_FALSE(refused.has_value());
  EXPECT_FALSE(refused.error().in_use);
  EXPECT_THAT(refused.error().sentence, HasSubstr("--run-dir"));
}

TEST(InstanceTest, SomebodyElsesFileIsNotTakenForASocketAndRemoved) {
  const TempDir dir;
  const std::string file = dir.path() + "/control";
  std::ofstream(file) << "x";
  const auto refused = Instance::Acquire(dir.path(), kNullPort);
  ASSERT_FALSE(refused.has_value());
  EXPECT_THAT(refused.error().sentence, HasSubstr(file));
  EXPECT_EQ(access(file.c_str(), F_OK), 0);
}

}  // namespace
}  // namespace sluice
