// life_test.cc - what else happens to a thread that has, or waits for, a core: the odd cases of ksched/README.md, but
// for those of its affinity (affinity_test.cc).
#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/time.h>

#include <cstdlib>

#include "tests/vm/app.h"

namespace sluice::vm {
namespace {

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

// A grant is for the thread, not for whoever has its number next.
TEST_F(LifeTest, ANumberThatComesBackIsAnotherThread) {
  App first(ParkForEver);
  const pid_t pid = first.pid();
  const uint32_t handle = Adopt(first);
  first.Kill();
  App second(ParkForEver, pid);
  ASSERT_EQ(pid, second.pid());
  ASSERT_TRUE(Eventually([&] { return StateOf(pid) == 'S'; }));
  GiveAndWait(1, handle);
  EXPECT_EQ(-ESRCH, device_->Outcome(1));
  EXPECT_EQ(ESRCH, device_->Evict(handle));
  const uint32_t again = Adopt(second);
  EXPECT_NE(handle, again);
  GiveAndWait(1, again);
  EXPECT_EQ(0, device_->Outcome(1));
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

// What does not park, for whatever reason, is put off its core once another grant waits.
class WhoStays : public LifeTest {
 protected:
  void IsPutOff(const App& app) {
    const auto worker = MakeWorker();
    Give(1, Adopt(*worker));
    EXPECT_TRUE(Eventually([&] { return worker->grants() == 1; }));
    EXPECT_EQ(1, worker->cpu());
    EXPECT_EQ(1u, device_->Stats(1).evictions);
    EXPECT_TRUE(Eventually([&] { return CpuCount(app.pid()) == 4; }));
  }
};

TEST_F(WhoStays, BecauseItNeverParks) {
  App app(SpinWhenGranted);
  GiveAndWait(1, Adopt(app));
  IsPutOff(app);
}

TEST_F(WhoStays, BecauseItIsStopped) {
  App app(SpinWhenGranted);
  GiveAndWait(1, Adopt(app));
  kill(app.pid(), SIGSTOP);
  ASSERT_TRUE(Eventually([&] { return StateOf(app.pid()) == 'T'; }));
  IsPutOff(app);
}

TEST_F(WhoStays, BecauseItsCgroupIsFrozen) {
  Cgroup group("ksched-frozen");
  App app(SpinWhenGranted);
  group.Add(app);
  const uint32_t handle = Adopt(app);
  GiveAndWait(1, handle);
  group.Freeze(true);
  EXPECT_EQ(handle, device_->Holder(1));
  IsPutOff(app);
  group.Freeze(false);
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

// Whatever the IOKernel does with the thread before it parks; and what that has to say is not lost either.
TEST_F(LifeTest, AnUnparkIsNotLostToAnAdoptionOrARelease) {
  const Enrolment self;
  ASSERT_EQ(0, self.Unpark());
  uint32_t handle = device_->Adopt(getpid(), gettid()).value();
  // Should it sleep, signals end that.
  struct sigaction action {};
  action.sa_handler = [](int) {};
  sigaction(SIGALRM, &action, nullptr);
  const itimerval every_5_s{{5, 0}, {5, 0}}, never{};
  setitimer(ITIMER_REAL, &every_5_s, nullptr);
  EXPECT_EQ(ECANCELED, self.Park());
  ASSERT_EQ(0, self.Unpark());
  EXPECT_EQ(0, device_->Release(handle));
  EXPECT_EQ(ECANCELED, self.Park());
  EXPECT_EQ(ENODEV, self.Park());
  ASSERT_EQ(0, self.Unpark());
  handle = device_->Adopt(getpid(), gettid()).value();
  EXPECT_EQ(0, device_->Release(handle));
  EXPECT_TRUE(device_->Adopt(getpid(), gettid()));
  EXPECT_EQ(ECANCELED, self.Park());
  setitimer(ITIMER_REAL, &never, nullptr);
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

// Frozen in its park, it is granted a core all the same; it has it once it thaws.
TEST_F(LifeTest, AFrozenCgroup) {
  Cgroup group("ksched-frozen");
  App app([](const Enrolment& enrolment) {
    while (enrolment.Park() == EINTR) {
    }
    _exit(sched_getcpu() == 1 ? 0 : 1);
  });
  group.Add(app);
  const uint32_t handle = Adopt(app);
  ASSERT_TRUE(Eventually([&] { return StateOf(app.pid()) == 'S'; }));
  group.Freeze(true);
  GiveAndWait(1, handle);
  group.Freeze(false);
  EXPECT_EQ(0, app.Wait());
}

TEST_F(LifeTest, TheModuleStaysWhileItIsUsed) {
  EXPECT_NE(0, system("rmmod ksched >/dev/null 2>&1"));
  device_.reset();
  const Enrolment enrolment;
  EXPECT_NE(0, system("rmmod ksched >/dev/null 2>&1"));
}

}  // namespace
}  // namespace sluice::vm
