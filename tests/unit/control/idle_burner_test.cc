// idle_burner_test.cc - where the burners are, and that they are the last to run there.
#include "iokernel/control/idle_burner.h"

#include <dirent.h>
#include <gtest/gtest.h>
#include <sched.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

namespace sluice {
namespace {

std::vector<pid_t> Burners() {
  std::vector<pid_t> found;
  DIR* tasks = opendir("/proc/self/task");
  while (const dirent* entry = readdir(tasks)) {
    const pid_t tid = std::atoi(entry->d_name);
    std::string name;
    std::getline(std::ifstream("/proc/self/task/" + std::string(entry->d_name) + "/comm"), name);
    if (tid > 0 && name == "sluice-burner") found.push_back(tid);
  }
  closedir(tasks);
  return found;
}

TEST(IdleBurnerTest, OnePerManagedCpuAndTheLastToRunThere) {
  cpu_set_t allowed;
  ASSERT_EQ(sched_getaffinity(0, sizeof(allowed), &allowed), 0);
  uint16_t cpu = 0;
  while (!CPU_ISSET(cpu, &allowed)) cpu++;
  IdleBurner burner;
  const std::vector<uint16_t> slots(3, cpu);  // several slots of one CPU
  EXPECT_EQ(burner.Start(slots), "");
  EXPECT_EQ(burner.threads(), 1u);
  const std::vector<pid_t> tids = Burners();
  ASSERT_EQ(tids.size(), 1u);
  EXPECT_EQ(sched_getscheduler(tids[0]), SCHED_IDLE);
  cpu_set_t bound;
  ASSERT_EQ(sched_getaffinity(tids[0], sizeof(bound), &bound), 0);
  EXPECT_EQ(CPU_COUNT(&bound), 1);
  EXPECT_TRUE(CPU_ISSET(cpu, &bound));
  burner.Stop();
  EXPECT_EQ(burner.threads(), 0u);
}

TEST(IdleBurnerTest, ACpuThatIsNotThereIsNamed) {
  IdleBurner burner;
  const std::vector<uint16_t> nowhere = {1023};
  EXPECT_EQ(burner.Start(nowhere), "no idle burner on CPU 1023: Invalid argument");
  EXPECT_EQ(burner.threads(), 0u);
}

}  // namespace
}  // namespace sluice
