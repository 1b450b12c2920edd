// affinity_test.cc - where a thread may run, while it has a core and afterwards: its own affinity is never lost to
// ksched, whoever changes it, nor is its core.
#include <functional>

#include "tests/vm/app.h"

namespace sluice::vm {
namespace {

bool CpuOnline(int cpu, bool online) {
  return Write("/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/online", online ? "1" : "0");
}

class AffinityTest : public LifeTest {
 protected:
  void TearDown() override { EXPECT_TRUE(CpuOnline(3, true)); }
  bool MayRunOn(const App& app, const std::string& cpus) {
    return Eventually([&] { return Allowed(app.pid()) == cpus; });
  }
};

TEST_F(AffinityTest, AChildIsNeitherEnrolledNorBound) {
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

// Whoever has enrolled stays in his cpuset, and so do his children, with or without an IOKernel.
TEST_F(AffinityTest, TheDeviceIsNoWayOutOfACpuset) {
  device_.reset();
  Cgroup group("ksched-cpuset");
  group.Set("cpuset.cpus", "0-3");
  App app([](const Enrolment& enrolment) {
    while (CpuCount(0) != 2) sched_yield();
    const pid_t child = fork();
    if (child == 0) _exit(CpuCount(0) == 2 ? 0 : 1);
    int status = 0;
    waitpid(child, &status, 0);
    if (WEXITSTATUS(status) != 0) _exit(1);
    if (enrolment.Park() != ENODEV) _exit(2);
    _exit(CpuCount(0) == 2 ? 0 : 3);
  });
  group.Add(app);
  group.Set("cpuset.cpus", "2-3");
  const int status = app.Wait();
  EXPECT_EQ(0, WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

// Whoever gives a thread another affinity takes it off its core; the grant stands, the next one binds it again, and
// what it was given is what it goes back to.
class AffinityThatChanges : public AffinityTest {
 protected:
  void Check(const std::function<void(const App&)>& let_it_run_on_2_and_3) {
    App app(ParkWhenTold);
    added_(app);
    const uint32_t handle = Adopt(app);
    GiveAndWait(1, handle);
    ASSERT_TRUE(MayRunOn(app, "1"));
    let_it_run_on_2_and_3(app);
    ASSERT_TRUE(MayRunOn(app, "2-3"));
    EXPECT_EQ(handle, device_->Holder(1));
    kill(app.pid(), SIGURG);
    ASSERT_TRUE(Eventually([&] { return Idle(1) && StateOf(app.pid()) == 'S'; }));
    EXPECT_TRUE(MayRunOn(app, "2-3"));
    GiveAndWait(1, handle);
    EXPECT_TRUE(MayRunOn(app, "1"));
    EXPECT_EQ(0, device_->Evict(handle));
    EXPECT_TRUE(MayRunOn(app, "2-3"));
    let_it_run_on_2_and_3(app);
    EXPECT_EQ(0, device_->Release(handle));
    EXPECT_TRUE(MayRunOn(app, "2-3"));
  }
  std::function<void(const App&)> added_ = [](const App&) {};
};

TEST_F(AffinityThatChanges, ByItsCpuset) {
  Cgroup group("ksched-cpuset");
  group.Set("cpuset.cpus", "0-3");
  added_ = [&](const App& app) { group.Add(app); };
  Check([&](const App&) { group.Set("cpuset.cpus", "2-3"); });
}

TEST_F(AffinityThatChanges, ByItself) {
  Check([](const App& app) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(2, &set);
    CPU_SET(3, &set);
    ASSERT_EQ(0, sched_setaffinity(app.pid(), sizeof set, &set));
  });
}

// The grant stands, the thread runs elsewhere until it parks, or its CPU is back.
TEST_F(AffinityTest, ACpuThatGoesOffline) {
  const auto worker = MakeWorker();
  const uint32_t handle = Adopt(*worker);
  worker->Hold(true);
  Give(3, handle);
  ASSERT_TRUE(Eventually([&] { return worker->grants() == 1; }));
  ASSERT_TRUE(CpuOnline(3, false));
  EXPECT_EQ(handle, device_->Holder(3));
  EXPECT_NE("3", Allowed(worker->tid()));
  ASSERT_TRUE(CpuOnline(3, true));
  EXPECT_TRUE(Eventually([&] { return Allowed(worker->tid()) == "3"; }));
  ASSERT_TRUE(CpuOnline(3, false));
  worker->Hold(false);
  EXPECT_TRUE(Eventually([&] { return Idle(3); }));
  Give(3, handle);
  EXPECT_TRUE(Eventually([&] { return worker->grants() == 2; }));
  EXPECT_NE(3, worker->cpu());
  EXPECT_TRUE(Eventually([&] { return Idle(3); }));
  EXPECT_EQ(1u, device_->Stats(3).astray);
  ASSERT_TRUE(CpuOnline(3, true));
  Give(3, handle);
  EXPECT_TRUE(Eventually([&] { return worker->grants() == 3; }));
  EXPECT_EQ(3, worker->cpu());
}

// Linux then gives the tasks of a cpuset its mask again, which is no reason to leave a core.
TEST_F(AffinityTest, AnotherCpuThatGoesOffAndOn) {
  Cgroup group("ksched-cpuset");
  group.Set("cpuset.cpus", "0-3");
  App holder(SpinWhenGranted);
  group.Add(holder);
  const uint32_t handle = Adopt(holder);
  GiveAndWait(1, handle);
  ASSERT_TRUE(MayRunOn(holder, "1"));
  App bystander(ParkForEver);  // its turn comes after the holder's
  group.Add(bystander);
  for (const bool online : {false, true}) {
    ASSERT_TRUE(CpuOnline(3, online));
    ASSERT_TRUE(MayRunOn(bystander, online ? "0-3" : "0-2"));
    EXPECT_TRUE(MayRunOn(holder, "1")) << Allowed(holder.pid());
  }
  EXPECT_EQ(handle, device_->Holder(1));
  EXPECT_EQ(0, device_->Evict(handle));
  EXPECT_TRUE(MayRunOn(holder, "0-3"));
}

}  // namespace
}  // namespace sluice::vm
