// The futex backend against real threads of this process and of another one.
#include "iokernel/grant/futex.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <vector>

#include "iokernel/abi/cede_signal.h"
#include "tests/lib/futex_kthread.h"

namespace sluice {
namespace {

using test::FutexKthread;
using test::WaitUntilAsleep;

// Waits without a clock: the other thread always gets there, or ctest's time limit says that it did not.
template <class Condition>
void Until(Condition&& condition) {
  while (!condition()) sched_yield();
}

uint16_t FirstCpu(int skip) {
  cpu_set_t set;
  sched_getaffinity(0, sizeof(set), &set);
  for (uint16_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    if (CPU_ISSET(cpu, &set) && skip-- == 0) return cpu;
  }
  return 0;
}
bool BoundTo(pid_t tid, uint16_t cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  return sched_getaffinity(tid, sizeof(set), &set) == 0 && CPU_COUNT(&set) == 1 && CPU_ISSET(cpu, &set);
}
size_t OpenFiles() {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) count++;
  return count;
}

struct Seen {
  std::atomic<uint32_t> grants{0};
  std::atomic<int> cpu{-1};
  std::atomic<bool> leave{true};  // false: the work spins until it is true
};

class FutexBackendTest : public testing::Test {
 protected:
  void SetUp() override {
    first_ = FirstCpu(0);
    second_ = FirstCpu(1);
    if (first_ == second_) GTEST_SKIP() << "one CPU only: nothing can be moved";
  }
  static auto Work(Seen& seen) {
    return [&seen](const abi::GrantHolder&) {
      seen.cpu = sched_getcpu();
      seen.grants++;
      while (!seen.leave) sched_yield();
    };
  }
  void Enrol(FutexBackend& backend, FutexKthread& kthread, Priority priority = Priority::kLatencyCritical) {
    const EnrolledThread thread{kthread.tid(), &kthread.grant.generation};
    backend.Enrol(0, getpid(), {&thread, 1}, priority);
    issuer_ = abi::GrantIssuer(&kthread.signal, &kthread.grant);
  }
  void Grant(FutexBackend& backend, CoreId core, uint16_t cpu) {
    issuer_.Grant(core, cpu);
    backend.Wake(0, 0, core);
  }
  void UntilParked() {
    Until([&] { return issuer_.Poll() == abi::GrantEvent::kParked; });
  }

  uint16_t first_ = 0, second_ = 0;
  abi::GrantIssuer issuer_;
};

TEST_F(FutexBackendTest, WakesASleepingThreadOnItsCore) {
  Seen seen;
  FutexKthread kthread(Work(seen));
  FutexBackend backend({.core_cpus = {first_, second_}});
  Enrol(backend, kthread);
  const std::array<uint16_t, 2> cpus{first_, second_};
  for (uint32_t i = 0; i < 20; i++) {
    const CoreId core = i / 2 % 2;
    ASSERT_TRUE(WaitUntilAsleep(getpid(), kthread.tid()));
    Grant(backend, core, cpus[core]);
    UntilParked();
    EXPECT_EQ(seen.grants, i + 1);
    EXPECT_EQ(seen.cpu, cpus[core]);
    EXPECT_TRUE(BoundTo(kthread.tid(), cpus[core]));
    EXPECT_EQ(backend.BoundCpu(0, 0), cpus[core]);
  }
  EXPECT_EQ(backend.counters().wakes, 20u);
  EXPECT_EQ(backend.counters().moves, 9u) << "only where the CPU changed";
  EXPECT_EQ(backend.counters().failures, 0u);
}

TEST_F(FutexBackendTest, SlotsOnOneCpuNeverCostAMove) {
  Seen seen;
  FutexKthread kthread(Work(seen));
  FutexBackend backend({.core_cpus = {second_, second_, second_, second_}});
  Enrol(backend, kthread);
  for (CoreId core = 0; core < 4; core++) {
    Grant(backend, core, second_);
    UntilParked();
    EXPECT_EQ(seen.cpu, second_);
  }
  EXPECT_EQ(backend.counters().moves, 0u);
}

std::atomic<pid_t> interrupted{0};
void OnCedeSignal(int) { interrupted.store(gettid()); }

class InterruptTest : public FutexBackendTest, public testing::WithParamInterface<bool> {};

TEST_P(InterruptTest, ReachesExactlyThatThread) {
  struct sigaction action {};
  action.sa_handler = OnCedeSignal;
  struct sigaction before {};
  sigaction(abi::kCedeSignal, &action, &before);
  Seen seen;
  seen.leave = false;
  FutexKthread kthread(Work(seen));
  FutexBackend backend({.core_cpus = {second_}, .loop_cpu = first_, .thread_pidfds = GetParam()});
  if (!GetParam()) {
    EXPECT_FALSE(backend.ThreadPidfds());
  }
  Enrol(backend, kthread);
  Grant(backend, 0, second_);
  Until([&] { return seen.grants == 1; });
  interrupted = 0;
  backend.Interrupt(0, 0);
  Until([&] { return interrupted != 0; });
  EXPECT_EQ(interrupted, kthread.tid());
  EXPECT_EQ(backend.counters().interrupts, 1u);
  seen.leave = true;
  UntilParked();
  sigaction(abi::kCedeSignal, &before, nullptr);
}

INSTANTIATE_TEST_SUITE_P(All, InterruptTest, testing::Bool(),
                         [](const auto& with) { return with.param ? "Pidfd" : "Tgkill"; });

TEST_F(FutexBackendTest, AnEvictedThreadLeavesTheManagedCpusAndComesBackWhenEnrolledAgain) {
  Seen seen;
  seen.leave = false;
  FutexKthread kthread(Work(seen));
  // The loop's CPU is one that does not exist, so `first_` is nobody's.
  FutexBackend backend({.core_cpus = {second_}, .loop_cpu = 0xffff});
  Enrol(backend, kthread);
  Grant(backend, 0, second_);
  Until([&] { return seen.grants == 1; });
  backend.Evict(0, 0);
  EXPECT_EQ(sched_getscheduler(kthread.tid()), SCHED_IDLE);
  cpu_set_t set;
  CPU_ZERO(&set);
  sched_getaffinity(kthread.tid(), sizeof(set), &set);
  EXPECT_FALSE(CPU_ISSET(second_, &set));
  EXPECT_EQ(backend.counters().evictions, 1u);
  seen.leave = true;
  UntilParked();
  backend.Release(0);
  Enrol(backend, kthread);
  EXPECT_EQ(sched_getscheduler(kthread.tid()), SCHED_OTHER);
  EXPECT_TRUE(BoundTo(kthread.tid(), second_));
}

TEST_F(FutexBackendTest, WithNowhereToGoAnEvictedThreadOnlyYields) {
  Seen seen;
  FutexKthread kthread(Work(seen));
  // Every CPU is managed, or the loop's own.
  std::vector<uint16_t> managed;
  for (uint16_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    if (cpu != first_) managed.push_back(cpu);
  }
  std::swap(managed[0], *std::find(managed.begin(), managed.end(), second_));
  FutexBackend backend({.core_cpus = managed, .loop_cpu = first_});
  Enrol(backend, kthread);
  backend.Evict(0, 0);
  EXPECT_EQ(sched_getscheduler(kthread.tid()), SCHED_IDLE);
  EXPECT_TRUE(BoundTo(kthread.tid(), second_));
}

TEST_F(FutexBackendTest, BestEffortThreadsRunOnlyWhenNobodyElseWants) {
  Seen seen;
  FutexKthread kthread(Work(seen));
  FutexBackend backend({.core_cpus = {second_}});
  Enrol(backend, kthread, Priority::kBestEffort);
  EXPECT_EQ(sched_getscheduler(kthread.tid()), SCHED_IDLE);
  backend.Release(0);
  Enrol(backend, kthread, Priority::kLatencyCritical);
  EXPECT_EQ(sched_getscheduler(kthread.tid()), SCHED_OTHER);
}

TEST_F(FutexBackendTest, WhatIsNotEnrolledIsLeftAlone) {
  FutexBackend backend({.core_cpus = {second_}});
  backend.Wake(7, 0, 0);
  backend.Interrupt(7, 0);
  backend.Evict(7, 0);
  backend.Release(7);
  EXPECT_EQ(backend.BoundCpu(7, 0), -1);
  EXPECT_EQ(backend.counters().wakes, 0u);
}

struct SharedLines {
  abi::SignalLine signal{};
  abi::GrantLine grant{};
};

// A process of its own that shares nothing but the memfd: what an app is.
class ForkedAppTest : public FutexBackendTest {
 protected:
  void SetUp() override {
    FutexBackendTest::SetUp();
    if (IsSkipped()) return;
    const int fd = memfd_create("grant_test", MFD_CLOEXEC);
    ASSERT_GE(fd, 0);
    ASSERT_EQ(ftruncate(fd, sizeof(SharedLines)), 0);
    // Two mappings of one file: the backend's word and the app's are the same only by the file.
    lines_ = Map(fd);
    child_ = fork();
    if (child_ == 0) {
      SharedLines* mine = Map(fd);
      abi::GrantHolder holder(&mine->signal, &mine->grant);
      const auto wait = [](const std::atomic<uint32_t>& word, uint32_t value) {
        test::FutexWait(word, value);
        return true;
      };
      while (holder.AwaitGrant(wait)) holder.Park({});
      _exit(0);
    }
    close(fd);
    ASSERT_GT(child_, 0);
  }
  void TearDown() override {
    if (child_ > 0) Kill();
    if (lines_ != nullptr) munmap(lines_, sizeof(SharedLines));
  }
  void Kill() {
    kill(child_, SIGKILL);
    waitpid(child_, nullptr, 0);
    child_ = 0;
  }
  void Enrol(FutexBackend& backend) {
    const EnrolledThread thread{child_, &lines_->grant.generation};
    backend.Enrol(0, child_, {&thread, 1}, Priority::kLatencyCritical);
    issuer_ = abi::GrantIssuer(&lines_->signal, &lines_->grant);
  }

  SharedLines* lines_ = nullptr;
  pid_t child_ = 0;

 private:
  static SharedLines* Map(int fd) {
    void* memory = mmap(nullptr, sizeof(SharedLines), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return memory == MAP_FAILED ? nullptr : static_cast<SharedLines*>(memory);
  }
};

TEST_F(ForkedAppTest, IsWokenThroughTheFile) {
  FutexBackend backend({.core_cpus = {first_, second_}});
  Enrol(backend);
  for (CoreId core = 0; core < 2; core++) {
    ASSERT_TRUE(WaitUntilAsleep(child_, child_));
    Grant(backend, core, core == 0 ? first_ : second_);
    UntilParked();
  }
  EXPECT_EQ(backend.counters().wakes, 2u);
  EXPECT_EQ(backend.counters().failures, 0u);
}

class DeadAppTest : public ForkedAppTest, public testing::WithParamInterface<bool> {};

TEST_P(DeadAppTest, CostsNothingAndLeavesNothing) {
  const size_t files = OpenFiles();
  FutexBackend backend({.core_cpus = {first_, second_}, .loop_cpu = 0xffff, .thread_pidfds = GetParam()});
  Enrol(backend);
  EXPECT_GT(OpenFiles(), files);
  Kill();
  issuer_.Grant(1, second_);
  backend.Wake(0, 0, 1);
  backend.Interrupt(0, 0);
  backend.Evict(0, 0);
  EXPECT_EQ(backend.counters().interrupts, 0u);
  EXPECT_EQ(backend.counters().evictions, 0u);
  EXPECT_EQ(backend.counters().moves, 0u);
  EXPECT_EQ(backend.counters().failures, 0u);
  backend.Release(0);
  EXPECT_EQ(OpenFiles(), files);
}

INSTANTIATE_TEST_SUITE_P(All, DeadAppTest, testing::Bool(),
                         [](const auto& with) { return with.param ? "Pidfd" : "Tgkill"; });

}  // namespace
}  // namespace sluice
