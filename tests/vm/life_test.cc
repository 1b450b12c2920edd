// life_test.cc - what else happens to a thread that has, or waits for, a core: every odd case of ksched/README.md.
#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cstdlib>
#include <fstream>

#include "tests/vm/rig.h"

namespace sluice::vm {
namespace {

// A process with one enrolled thread, its main one, that runs `main` and says who it is.
class App {
 public:
  explicit App(const std::function<void(const Enrolment&)>& main) {
    int ready[2];
    EXPECT_EQ(0, pipe(ready));
    cpu_set_t all;
    CPU_ZERO(&all);
    for (int cpu = 0; cpu <= static_cast<int>(kLastCore); ++cpu) CPU_SET(cpu, &all);
    pid_ = fork();
    if (pid_ == 0) {
      // The IOKernel's file, too: as long as somebody has it the IOKernel lives.
      for (int fd = 3; fd < 64; ++fd) {
        if (fd != ready[1]) close(fd);
      }
      sched_setaffinity(0, sizeof all, &all);
      const Enrolment enrolment(SIGURG, 0);
      signal(SIGURG, [](int) {});
      if (write(ready[1], "r", 1) != 1) _exit(1);
      main(enrolment);
      _exit(0);
    }
    char byte;
    EXPECT_EQ(1, read(ready[0], &byte, 1));
    close(ready[0]);
    close(ready[1]);
  }
  ~App() { Kill(); }
  App(const App&) = delete;
  App& operator=(const App&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }
  void Kill() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  // What it ended with; -1: it does not end.
  int Wait() {
    int status = -1;
    if (Eventually([&] { return waitpid(pid_, &status, WNOHANG) == pid_; })) pid_ = 0;
    return status;
  }

 private:
  pid_t pid_;
};

void ParkForEver(const Enrolment& enrolment) {
  while (true) (void)enrolment.Park();
}
void SpinWhenGranted(const Enrolment& enrolment) {
  (void)enrolment.Park();
  while (true) asm volatile("pause");
}

// The state letter of /proc/PID/stat.
char StateOf(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  std::getline(file, text);
  const size_t name = text.rfind(')');
  return name == std::string::npos ? '?' : text[name + 2];
}
bool Write(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text << std::flush;
  return file.good();
}

class LifeTest : public KschedTest {
 protected:
  uint32_t Adopt(const App& app) { return device_->Adopt(app.pid(), app.pid()).value_or(0); }
  using KschedTest::Adopt;
  // Grants the core and waits until somebody has it.
  uint32_t GiveAndWait(uint32_t cpu, uint32_t handle) {
    const uint32_t generation = Give(cpu, handle);
    EXPECT_TRUE(Eventually([&] { return device_->Served(cpu) == generation; }));
    return generation;
  }
};

TEST_F(LifeTest, KilledWhileItHasTheCore) {
  App app(SpinWhenGranted);
  const uint32_t handle = Adopt(app);
  GiveAndWait(1, handle);
  EXPECT_EQ(handle, device_->Holder(1));
  app.Kill();
  EXPECT_TRUE(Eventually([&] { return Idle(1); }));
  EXPECT_EQ(ESRCH, device_->Evict(handle));
  GiveAndWait(1, handle);
  EXPECT_EQ(-ESRCH, device_->Outcome(1));
}

TEST_F(LifeTest, KilledWhileParked) {
  App app(ParkForEver);
  const uint32_t handle = Adopt(app);
  ASSERT_TRUE(Eventually([&] { return StateOf(app.pid()) == 'S'; }));
  app.Kill();
  EXPECT_EQ(ESRCH, device_->Release(handle));
}

// The grant had come, and the thread was not there to take it.
TEST_F(LifeTest, KilledBetweenGrantAndPark) {
  App app([](const Enrolment&) { pause(); });
  const uint32_t handle = Adopt(app);
  GiveAndWait(2, handle);
  EXPECT_EQ(handle, device_->Holder(2));
  app.Kill();
  EXPECT_TRUE(Eventually([&] { return Idle(2); }));
}

TEST_F(LifeTest, AThreadThatExitsGivesItsCoreBackAndItsFileMayStayOpen) {
  std::atomic<pid_t> tid{0};
  std::unique_ptr<Enrolment> file;
  std::thread thread([&] {
    file = std::make_unique<Enrolment>();
    tid = gettid();
    (void)file->Park();
  });
  ASSERT_TRUE(Eventually([&] { return tid != 0; }));
  const uint32_t handle = device_->Adopt(getpid(), tid).value();
  Give(3, handle);
  thread.join();
  EXPECT_TRUE(Eventually([&] { return Idle(3); }));
  EXPECT_EQ(ESRCH, device_->Release(handle));
  EXPECT_EQ(EPERM, file->Park());  // it was that thread's
}

// A number that comes back belongs to somebody who has not enrolled, or whose process is not the one named.
TEST_F(LifeTest, AThreadIdIsNotAThread) {
  const auto worker = MakeWorker();
  EXPECT_EQ(ESRCH, device_->Adopt(getpid(), getpid()).error());
  EXPECT_EQ(ESRCH, device_->Adopt(getppid(), worker->tid()).error());
  EXPECT_EQ(ESRCH, device_->Adopt(getpid(), 0x3fffffff).error());
  const uint32_t handle = Adopt(*worker);
  EXPECT_EQ(EBUSY, device_->Adopt(getpid(), worker->tid()).error());
  EXPECT_EQ(0, device_->Release(handle));
  const uint32_t again = Adopt(*worker);
  EXPECT_NE(handle, again);
  EXPECT_EQ(ESRCH, device_->Evict(handle));
}

TEST_F(LifeTest, AnExecEndsTheEnrolmentAndTheBinding) {
  // The program that comes says how many CPUs it may use.
  App app([](const Enrolment& enrolment) {
    (void)enrolment.Park();
    fcntl(enrolment.fd(), F_SETFD, 0);  // even if the file stays open
    execl("/bin/sh", "sh", "-c",
          "i=0; while [ $i -lt 2000 ]; do grep -q 'Cpus_allowed:.*f$' /proc/self/status && exit 7; i=$((i+1)); done",
          nullptr);
  });
  const uint32_t handle = Adopt(app);
  Give(1, handle);
  EXPECT_TRUE(Eventually([&] { return device_->Stats(1).grants == 1 && Idle(1); }));
  const int status = app.Wait();
  EXPECT_EQ(7, WIFEXITED(status) ? WEXITSTATUS(status) : -1);
  EXPECT_EQ(ESRCH, device_->Release(handle));
}

TEST_F(LifeTest, AChildIsNeitherEnrolledNorBound) {
  App app([](const Enrolment& enrolment) {
    (void)enrolment.Park();
    const pid_t child = fork();
    if (child == 0) _exit(CpuCount(0) == 4 && enrolment.Park() == EPERM ? 0 : 1);
    int status = 0;
    waitpid(child, &status, 0);
    _exit(WEXITSTATUS(status) == 0 && CpuCount(0) == 1 ? 0 : 1);
  });
  Give(2, Adopt(app));
  EXPECT_EQ(0, app.Wait());
  EXPECT_TRUE(Eventually([&] { return Idle(2); }));
}

TEST_F(LifeTest, ASignalEndsTheParkAndTheThreadRunsWhereItMay) {
  App app([](const Enrolment& enrolment) {
    if (enrolment.Park() != 0 || CpuCount(0) != 1) _exit(1);
    if (enrolment.Park() != EINTR || CpuCount(0) != 4) _exit(2);
    _exit(enrolment.Park() == 0 && sched_getcpu() == 3 ? 0 : 3);
  });
  const uint32_t handle = Adopt(app);
  GiveAndWait(1, handle);
  ASSERT_TRUE(Eventually([&] { return Idle(1) && StateOf(app.pid()) == 'S'; }));
  kill(app.pid(), SIGURG);
  ASSERT_TRUE(Eventually([&] { return CpuCount(app.pid()) == 4; }));
  Give(3, handle);
  EXPECT_EQ(0, app.Wait());
}

// Stopped, it is granted a core all the same; it has it once it goes on.
TEST_F(LifeTest, StoppedByATracerWhileParked) {
  App app([](const Enrolment& enrolment) {
    while (enrolment.Park() == EINTR) {
    }
    _exit(sched_getcpu() == 2 ? 0 : 1);
  });
  const uint32_t handle = Adopt(app);
  ASSERT_TRUE(Eventually([&] { return StateOf(app.pid()) == 'S'; }));
  ASSERT_EQ(0, ptrace(PTRACE_ATTACH, app.pid(), nullptr, nullptr));
  int status = 0;
  ASSERT_EQ(app.pid(), waitpid(app.pid(), &status, 0));
  ASSERT_TRUE(WIFSTOPPED(status));
  GiveAndWait(2, handle);
  EXPECT_EQ(handle, device_->Holder(2));
  ASSERT_EQ(0, ptrace(PTRACE_DETACH, app.pid(), nullptr, nullptr));
  EXPECT_EQ(0, app.Wait());
  EXPECT_TRUE(Eventually([&] { return Idle(2); }));
}

TEST_F(LifeTest, StoppedWhileItHasTheCoreItIsPutOffOnceAnotherWaits) {
  App app(SpinWhenGranted);
  GiveAndWait(1, Adopt(app));
  kill(app.pid(), SIGSTOP);
  ASSERT_TRUE(Eventually([&] { return StateOf(app.pid()) == 'T'; }));
  const auto worker = MakeWorker();
  Give(1, Adopt(*worker));
  EXPECT_TRUE(Eventually([&] { return worker->grants() == 1; }));
  EXPECT_EQ(1, worker->cpu());
  EXPECT_EQ(1u, device_->Stats(1).evictions);
  EXPECT_TRUE(Eventually([&] { return CpuCount(app.pid()) == 4; }));
}

TEST_F(LifeTest, AnEvictedThreadGoesOnUnderLinux) {
  App app([](const Enrolment& enrolment) {
    (void)enrolment.Park();
    while (CpuCount(0) == 1) sched_yield();
    (void)enrolment.Park();
    _exit(CpuCount(0) == 1 && sched_getcpu() == 2 ? 0 : 1);
  });
  const uint32_t handle = Adopt(app);
  Give(1, handle);
  ASSERT_TRUE(Eventually([&] { return CpuCount(app.pid()) == 1; }));
  EXPECT_EQ(0, device_->Evict(handle));
  EXPECT_TRUE(Idle(1));
  ASSERT_TRUE(Eventually([&] { return CpuCount(app.pid()) == 4; }));
  Give(2, handle);
  EXPECT_EQ(0, app.Wait());
}

TEST_F(LifeTest, UnparkEndsThisParkOrTheNext) {
  const auto worker = MakeWorker();
  ASSERT_TRUE(Eventually([&] { return StateOf(worker->tid()) == 'S'; }));
  worker->Stop();
  EXPECT_EQ(ECANCELED, worker->last_error());
  const Enrolment self;
  ASSERT_EQ(0, self.Unpark());
  EXPECT_EQ(ECANCELED, self.Park());
}

TEST_F(LifeTest, WhenTheIoKernelDiesEveryThreadIsLinuxsAgain) {
  App spinner(SpinWhenGranted);
  App parked([](const Enrolment& enrolment) {
    const bool told = enrolment.Park() == ENODEV;
    _exit(told && CpuCount(0) == 4 && enrolment.Park() == ENODEV ? 0 : 1);
  });
  GiveAndWait(1, Adopt(spinner));
  (void)Adopt(parked);
  ASSERT_TRUE(Eventually([&] { return CpuCount(spinner.pid()) == 1 && StateOf(parked.pid()) == 'S'; }));
  device_.reset();
  EXPECT_EQ(0, parked.Wait());
  EXPECT_TRUE(Eventually([&] { return CpuCount(spinner.pid()) == 4; }));
  EXPECT_TRUE(KschedDevice::Claim());
}

// Nobody leaves a core through its CPU: the grant stands, the thread runs elsewhere until it parks.
TEST_F(LifeTest, ACpuThatGoesOffline) {
  const auto worker = MakeWorker();
  const uint32_t handle = Adopt(*worker);
  worker->Hold(true);
  Give(3, handle);
  ASSERT_TRUE(Eventually([&] { return worker->grants() == 1; }));
  ASSERT_TRUE(Write("/sys/devices/system/cpu/cpu3/online", "0"));
  EXPECT_EQ(handle, device_->Holder(3));
  worker->Hold(false);
  EXPECT_TRUE(Eventually([&] { return Idle(3); }));
  Give(3, handle);
  EXPECT_TRUE(Eventually([&] { return worker->grants() == 2; }));
  EXPECT_NE(3, worker->cpu());
  EXPECT_TRUE(Eventually([&] { return Idle(3); }));
  EXPECT_EQ(1u, device_->Stats(3).astray);
  ASSERT_TRUE(Write("/sys/devices/system/cpu/cpu3/online", "1"));
  Give(3, handle);
  EXPECT_TRUE(Eventually([&] { return worker->grants() == 3; }));
  EXPECT_EQ(3, worker->cpu());
}

// A change of a cpuset takes the thread off its core; the next grant binds it again.
TEST_F(LifeTest, ACpusetThatChanges) {
  const std::string group = "/sys/fs/cgroup/ksched-cpuset";
  ASSERT_TRUE(mkdir(group.c_str(), 0755) == 0 || errno == EEXIST);
  ASSERT_TRUE(Write(group + "/cpuset.cpus", "0-3"));
  App app(SpinWhenGranted);
  ASSERT_TRUE(Write(group + "/cgroup.procs", std::to_string(app.pid())));
  const uint32_t handle = Adopt(app);
  GiveAndWait(1, handle);
  ASSERT_TRUE(Eventually([&] { return CpuCount(app.pid()) == 1; }));
  ASSERT_TRUE(Write(group + "/cpuset.cpus", "2-3"));
  EXPECT_EQ(handle, device_->Holder(1));
  EXPECT_EQ(0, device_->Evict(handle));
  EXPECT_TRUE(Idle(1));
  app.Kill();
  EXPECT_TRUE(Eventually([&] { return rmdir(group.c_str()) == 0; }));
}

// Frozen in its park, it is granted a core all the same; it has it once it thaws.
TEST_F(LifeTest, AFrozenCgroup) {
  const std::string group = "/sys/fs/cgroup/ksched-frozen";
  ASSERT_TRUE(mkdir(group.c_str(), 0755) == 0 || errno == EEXIST);
  App app([](const Enrolment& enrolment) {
    while (enrolment.Park() == EINTR) {
    }
    _exit(sched_getcpu() == 1 ? 0 : 1);
  });
  ASSERT_TRUE(Write(group + "/cgroup.procs", std::to_string(app.pid())));
  const uint32_t handle = Adopt(app);
  ASSERT_TRUE(Eventually([&] { return StateOf(app.pid()) == 'S'; }));
  ASSERT_TRUE(Write(group + "/cgroup.freeze", "1"));
  ASSERT_TRUE(Eventually([&] {
    std::ifstream events(group + "/cgroup.events");
    std::string text((std::istreambuf_iterator<char>(events)), {});
    return text.find("frozen 1") != std::string::npos;
  }));
  GiveAndWait(1, handle);
  ASSERT_TRUE(Write(group + "/cgroup.freeze", "0"));
  EXPECT_EQ(0, app.Wait());
  EXPECT_TRUE(Eventually([&] { return rmdir(group.c_str()) == 0; }));
}

TEST_F(LifeTest, TheModuleStaysWhileItIsUsed) {
  EXPECT_NE(0, system("rmmod ksched >/dev/null 2>&1"));
  device_.reset();
  const Enrolment enrolment;
  EXPECT_NE(0, system("rmmod ksched >/dev/null 2>&1"));
}

}  // namespace
}  // namespace sluice::vm
