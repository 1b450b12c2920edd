// grant_test.cc - the ksched module's function: who gets a core, where it runs, and how the core comes back.
#include <sys/mman.h>
#include <sys/wait.h>

#include <array>
#include <fstream>
#include <random>

#include "tests/vm/rig.h"

namespace sluice::vm {
namespace {

TEST_F(KschedTest, OneIoKernelAtATime) {
  const auto second = KschedDevice::Claim();
  ASSERT_FALSE(second);
  EXPECT_NE(std::string::npos, second.error().find("another process")) << second.error();
  device_.reset();
  EXPECT_TRUE(KschedDevice::Claim());
}

bool Claims(gid_t group) {
  const pid_t child = fork();
  if (child == 0) {
    if (setgid(group) != 0 || setuid(65534) != 0) _exit(2);
    _exit(KschedDevice::Claim() ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) < 2);
  return status == 0;
}

TEST_F(KschedTest, ClaimingNeedsPrivilege) {
  device_.reset();
  EXPECT_FALSE(Claims(65534));
}

TEST_F(KschedTest, AGroupMayClaimIfTheModuleWasToldSo) {
  device_.reset();
  ASSERT_EQ(0, system("rmmod ksched && insmod /sluice/ksched.ko group=777"));
  EXPECT_TRUE(Claims(777));
  EXPECT_FALSE(Claims(778));
  ASSERT_EQ(0, system("rmmod ksched && insmod /sluice/ksched.ko"));
  EXPECT_FALSE(Claims(777));
}

// What stops a process walks all its threads, and the sender is an interrupt.
TEST_F(KschedTest, NobodyIsStoppedOrKilledByTheSignalHeNames) {
  for (const int number : {SIGKILL, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU, SIGCONT, SIGRTMAX + 1, -1}) {
    EXPECT_EQ(EINVAL, Enrolment(number, 0).error()) << number;
    EXPECT_EQ(EINVAL, Enrolment(0, number).error()) << number;
  }
  EXPECT_EQ(0, Enrolment(0, SIGRTMAX).error());
}

TEST_F(KschedTest, OnlyTheIoKernelKicksAdoptsAndMaps) {
  const Enrolment thread;
  ASSERT_EQ(0, thread.error());
  ksched_adopt adopt{.tgid = getpid(), .tid = gettid(), .handle = 0, .reserved = 0};
  EXPECT_EQ(-1, ioctl(thread.fd(), KSCHED_IOC_ADOPT, &adopt));
  EXPECT_EQ(EPERM, errno);
  EXPECT_EQ(-1, ioctl(thread.fd(), KSCHED_IOC_KICK, 1));
  EXPECT_EQ(EPERM, errno);
  EXPECT_EQ(MAP_FAILED, mmap(nullptr, 4096, PROT_READ, MAP_SHARED, thread.fd(), KSCHED_MAP_REQUESTS));
}

TEST_F(KschedTest, TheStatusIsNotForWriting) {
  const int fd = open(KSCHED_DEVICE, O_RDWR | O_CLOEXEC);
  device_.reset();
  ksched_claim claim{KSCHED_ABI_VERSION, 0};
  ASSERT_EQ(0, ioctl(fd, KSCHED_IOC_CLAIM, &claim));
  EXPECT_EQ(MAP_FAILED, mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, KSCHED_MAP_STATUS));
  void* status = mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd, KSCHED_MAP_STATUS);
  ASSERT_NE(MAP_FAILED, status);
  EXPECT_EQ(-1, mprotect(status, 4096, PROT_READ | PROT_WRITE));
  EXPECT_EQ(MAP_FAILED, mmap(nullptr, 1 << 24, PROT_READ, MAP_SHARED, fd, KSCHED_MAP_STATUS));
  EXPECT_EQ(MAP_FAILED, mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd, KSCHED_MAP_STATUS + 4096));
  munmap(status, 4096);
  close(fd);
}

TEST_F(KschedTest, AGrantWakesTheThreadOnExactlyThatCore) {
  const auto worker = MakeWorker();
  const uint32_t handle = Adopt(*worker);
  uint64_t grants = 0;
  for (int round = 0; round < 200; ++round) {
    const uint32_t cpu = kFirstCore + static_cast<uint32_t>(round * 7 % 3);
    const uint32_t generation = Give(cpu, handle);
    ASSERT_TRUE(Eventually([&] { return worker->grants() == grants + 1; })) << "round " << round;
    grants++;
    ASSERT_EQ(static_cast<int>(cpu), worker->cpu());
    ASSERT_TRUE(Eventually([&] { return Idle(cpu); }));
    ASSERT_EQ(generation, device_->Served(cpu));
    ASSERT_EQ(0, device_->Outcome(cpu));
  }
  uint64_t granted = 0, measured = 0;
  for (uint32_t cpu = kFirstCore; cpu <= kLastCore; ++cpu) {
    const ksched_stats stats = device_->Stats(cpu);
    granted += stats.grants;
    EXPECT_EQ(0u, stats.astray);
    for (const uint64_t bucket : stats.latency) measured += bucket;
  }
  EXPECT_EQ(200u, granted);
  EXPECT_EQ(200u, measured);
}

TEST_F(KschedTest, AGrantThatComesBeforeTheParkIsNotLost) {
  std::atomic<bool> go{false};
  std::atomic<pid_t> tid{0};
  std::atomic<int> result{-1}, cpu{-1};
  std::thread thread([&] {
    const Enrolment enrolment;
    tid = gettid();
    while (!go) sched_yield();
    result = enrolment.Park();
    cpu = sched_getcpu();
  });
  ASSERT_TRUE(Eventually([&] { return tid != 0; }));
  const uint32_t handle = device_->Adopt(getpid(), tid).value();
  const uint32_t generation = Give(2, handle);
  ASSERT_TRUE(Eventually([&] { return device_->Served(2) == generation; }));
  EXPECT_EQ(handle, device_->Holder(2));
  go = true;
  thread.join();
  EXPECT_EQ(0, result);
  EXPECT_EQ(2, cpu);
}

TEST_F(KschedTest, AThreadIsGrantedOneCoreAtATime) {
  std::atomic<bool> go{false};
  std::atomic<pid_t> tid{0};
  std::thread thread([&] {
    const Enrolment enrolment;
    tid = gettid();
    while (!go) sched_yield();
  });
  ASSERT_TRUE(Eventually([&] { return tid != 0; }));
  const uint32_t handle = device_->Adopt(getpid(), tid).value();
  const uint32_t first = Give(1, handle);
  ASSERT_TRUE(Eventually([&] { return device_->Served(1) == first; }));
  const uint32_t second = Give(2, handle);
  ASSERT_TRUE(Eventually([&] { return device_->Served(2) == second; }));
  EXPECT_EQ(-EBUSY, device_->Outcome(2));
  EXPECT_TRUE(Idle(2));
  go = true;
  thread.join();
}

// An app says in memory that it has parked before it calls, so its next grant may come while it still has the last
// core.
TEST_F(KschedTest, AGrantThatComesWhileItHasAnotherCoreIsHadOnceItParks) {
  const auto worker = MakeWorker();
  const uint32_t handle = Adopt(*worker);
  worker->Hold(true);
  Give(1, handle);
  ASSERT_TRUE(Eventually([&] { return worker->grants() == 1; }));
  const uint32_t second = Give(2, handle);
  ASSERT_TRUE(Eventually([&] { return device_->Served(2) == second; }));
  EXPECT_EQ(0, device_->Outcome(2));
  EXPECT_EQ(handle, device_->Holder(1));
  EXPECT_EQ(handle, device_->Holder(2));
  const uint32_t third = Give(3, handle);
  ASSERT_TRUE(Eventually([&] { return device_->Served(3) == third; }));
  EXPECT_EQ(-EBUSY, device_->Outcome(3));
  EXPECT_TRUE(Idle(3));
  EXPECT_EQ(1u, worker->grants());
  worker->Hold(false);
  ASSERT_TRUE(Eventually([&] { return worker->grants() == 2; }));
  EXPECT_EQ(2, worker->cpu());
  EXPECT_TRUE(Eventually([&] { return Idle(1) && Idle(2); }));
}

TEST_F(KschedTest, AHeldCoreGoesStraightToTheNextWhenItsHolderParks) {
  const Parameter grace("grace_us", 30'000'000);
  const auto first = MakeWorker(), second = MakeWorker();
  const uint32_t a = Adopt(*first), b = Adopt(*second);
  first->Hold(true);
  Give(1, a);
  ASSERT_TRUE(Eventually([&] { return first->grants() == 1; }));
  const uint32_t generation = Give(1, b);
  // The kick has been taken, and nothing has come of it.
  ASSERT_TRUE(Eventually([&] { return device_->Stats(1).kicks == 2; }));
  EXPECT_NE(generation, device_->Served(1));
  EXPECT_EQ(0u, second->grants());
  first->Hold(false);
  ASSERT_TRUE(Eventually([&] { return second->grants() == 1; }));
  EXPECT_EQ(1, second->cpu());
  EXPECT_EQ(1u, device_->Stats(1).handovers);
  EXPECT_EQ(0u, device_->Stats(1).evictions);
}

TEST_F(KschedTest, ACedeIsASignalToTheHolderOfThatGrant) {
  const auto worker = MakeWorker();
  const uint32_t handle = Adopt(*worker);
  worker->Hold(true);
  const uint32_t generation = Give(3, handle);
  ASSERT_TRUE(Eventually([&] { return worker->grants() == 1; }));
  device_->Cede(3, generation - 1);  // an old one: nobody is meant
  ASSERT_EQ(0, device_->Kick(3));
  ASSERT_TRUE(Eventually([&] { return device_->Stats(3).kicks == 2; }));
  EXPECT_EQ(0u, device_->Stats(3).cedes);
  device_->Cede(3, generation);
  ASSERT_EQ(0, device_->Kick(3));
  ASSERT_TRUE(Eventually([&] { return Idle(3); }));
  EXPECT_EQ(1u, worker->cedes());
  EXPECT_EQ(1u, device_->Stats(3).cedes);
}

TEST_F(KschedTest, OneKickReachesAMaskOfCores) {
  std::vector<std::unique_ptr<Worker>> workers;
  std::vector<uint32_t> cpus;
  std::array<uint32_t, kLastCore + 1> generation{};
  for (uint32_t cpu = kFirstCore; cpu <= kLastCore; ++cpu) {
    workers.push_back(MakeWorker());
    workers.back()->Hold(true);
    generation[cpu] = device_->Grant(cpu, Adopt(*workers.back()), abi::ReadTsc());
    cpus.push_back(cpu);
  }
  ASSERT_EQ(0, device_->KickAll(cpus));
  for (const auto& worker : workers) ASSERT_TRUE(Eventually([&] { return worker->grants() == 1; }));
  for (const uint32_t cpu : cpus) device_->Yield(cpu);
  ASSERT_EQ(0, device_->KickAll(cpus));
  for (const auto& worker : workers) ASSERT_TRUE(Eventually([&] { return worker->yields() == 1; }));
  for (const uint32_t cpu : cpus) device_->Cede(cpu, generation[cpu]);
  ASSERT_EQ(0, device_->KickAll(cpus));
  for (const uint32_t cpu : cpus) ASSERT_TRUE(Eventually([&] { return Idle(cpu); }));
  for (const auto& worker : workers) EXPECT_EQ(1u, worker->yields());
}

TEST_F(KschedTest, ACoreThatWasJustGivenBackNeedsNoKick) {
  const Parameter a_second("watch_us", 1'000'000);
  const auto first = MakeWorker(), second = MakeWorker();
  const uint32_t a = Adopt(*first), b = Adopt(*second);
  const uint32_t generation = Give(1, a);
  ASSERT_TRUE(Eventually([&] { return device_->Served(1) == generation; }));
  uint64_t grants = 1, kicks = device_->Stats(1).kicks;
  // To the thread that watches, and to another. A guest may be slow: what is not watched any more is kicked.
  for (int round = 0; round < 100; ++round) {
    ASSERT_TRUE(Eventually([&] { return Idle(1); }));
    (void)Eventually([&] { return device_->Watching(1); }, 1);
    const uint32_t given = device_->Grant(1, round % 3 == 0 ? b : a, abi::ReadTsc());
    if (!device_->Watching(1)) {
      ASSERT_EQ(0, device_->Kick(1));
      kicks++;
    }
    ASSERT_TRUE(Eventually([&] { return device_->Served(1) == given; })) << "round " << round;
    grants++;
  }
  ASSERT_TRUE(Eventually([&] { return first->grants() + second->grants() == grants; }));
  EXPECT_EQ(1, first->cpu());
  EXPECT_EQ(1, second->cpu());
  EXPECT_LE(device_->Stats(1).kicks, kicks);
  EXPECT_LT(kicks, grants);
}

TEST_F(KschedTest, WhoeverWantsTheCpuEndsTheWatch) {
  const Parameter a_second("watch_us", 1'000'000);
  const auto worker = MakeWorker();
  const uint32_t handle = Adopt(*worker);
  for (int round = 0; round < 5; ++round) {
    // Again if the second was over before we looked.
    ASSERT_TRUE(Eventually([&] {
      const uint32_t generation = Give(1, handle);
      return Eventually([&] { return device_->Served(1) == generation && Idle(1); }) &&
             Eventually([&] { return device_->Watching(1); }, 1);
    }));
    bool watching = true;
    std::thread other([&] {
      RunOn(1);
      watching = device_->Watching(1);
    });
    other.join();
    EXPECT_FALSE(watching);
    ASSERT_TRUE(Eventually([&] { return Idle(1); }));
  }
}

TEST_F(KschedTest, ACoreDoesNotWatchIfToldNotTo) {
  const Parameter never("watch_us", 0);
  const auto worker = MakeWorker();
  const uint32_t handle = Adopt(*worker);
  for (uint64_t grants = 1; grants <= 20; ++grants) {
    Give(1, handle);
    ASSERT_TRUE(Eventually([&] { return device_->Stats(1).kicks == grants && worker->grants() == grants && Idle(1); }));
  }
}

// Two processes pass one core to and fro.
TEST_F(KschedTest, ACoreGoesFromAppToApp) {
  int pipes[2];
  ASSERT_EQ(0, pipe(pipes));
  const pid_t app = fork();
  if (app == 0) {
    const Enrolment enrolment;
    const pid_t tid = gettid();
    if (write(pipes[1], &tid, sizeof tid) != sizeof tid) _exit(1);
    while (enrolment.Park() == 0) {
    }
    _exit(0);
  }
  pid_t tid = 0;
  ASSERT_EQ(static_cast<ssize_t>(sizeof tid), read(pipes[0], &tid, sizeof tid));
  const auto worker = MakeWorker();
  const uint32_t ours = Adopt(*worker);
  const uint32_t theirs = device_->Adopt(app, tid).value();
  for (int round = 0; round < 100; ++round) {
    for (const uint32_t handle : {ours, theirs}) {
      const uint32_t generation = Give(1, handle);
      ASSERT_TRUE(Eventually([&] { return device_->Served(1) == generation && Idle(1); }));
      ASSERT_EQ(0, device_->Outcome(1));
    }
  }
  EXPECT_EQ(100u, worker->grants());
  EXPECT_EQ(0, device_->Release(theirs));
  int status = 0;
  waitpid(app, &status, 0);
  EXPECT_EQ(0, status);
  close(pipes[0]);
  close(pipes[1]);
}

TEST_F(KschedTest, EightKthreadsOnThreeCoresOneAtATime) {
  const uint64_t rounds = FullCounts() ? 1'000'000 : 10'000;
  constexpr uint32_t kThreads = 8;
  std::array<std::atomic<int>, kLastCore + 1> inside{};
  std::atomic<uint64_t> wrong_core{0}, collisions{0};
  std::vector<std::unique_ptr<Worker>> workers;
  std::array<uint32_t, kThreads> handles{};
  std::array<uint64_t, kThreads> granted{};
  std::array<std::atomic<int>, kThreads> meant{};
  for (uint32_t k = 0; k < kThreads; ++k) {
    workers.push_back(MakeWorker());
    workers[k]->on_grant = [&, k](int cpu) {
      if (cpu != meant[k]) wrong_core++;
      if (cpu < 0 || cpu > static_cast<int>(kLastCore)) return;
      if (inside[static_cast<size_t>(cpu)]++ != 0) collisions++;
      for (int i = 0; i < 20; ++i) asm volatile("pause");
      inside[static_cast<size_t>(cpu)]--;
    };
    handles[k] = Adopt(*workers[k]);
  }
  std::mt19937 random(7);
  std::array<int, kLastCore + 1> on{-1, -1, -1, -1};
  std::array<uint32_t, kLastCore + 1> generation{};
  for (uint64_t round = 0; round < rounds; ++round) {
    const uint32_t cpu = kFirstCore + random() % kCores;
    // One grant at a time on a core, so that what we meant is known; the holder may still be on its way out.
    if (on[cpu] >= 0) {
      const auto k = static_cast<size_t>(on[cpu]);
      ASSERT_TRUE(Eventually([&] { return workers[k]->grants() == granted[k]; })) << "round " << round;
      ASSERT_EQ(generation[cpu], device_->Served(cpu));
    }
    uint32_t k = random() % kThreads;
    while (workers[k]->grants() != granted[k]) k = (k + 1) % kThreads;
    on[cpu] = static_cast<int>(k);
    granted[k]++;
    meant[k] = static_cast<int>(cpu);
    generation[cpu] = Give(cpu, handles[k]);
  }
  for (uint32_t k = 0; k < kThreads; ++k) ASSERT_TRUE(Eventually([&] { return workers[k]->grants() == granted[k]; }));
  EXPECT_EQ(0u, wrong_core);
  EXPECT_EQ(0u, collisions);
  uint64_t grants = 0, evictions = 0, refused = 0;
  for (uint32_t cpu = kFirstCore; cpu <= kLastCore; ++cpu) {
    grants += device_->Stats(cpu).grants;
    evictions += device_->Stats(cpu).evictions;
    refused += device_->Stats(cpu).refused;
  }
  EXPECT_EQ(rounds, grants);
  EXPECT_EQ(0u, refused);
  // A holder that a busy machine keeps from parking for the whole grace is put off; then it parks none the less.
  RecordProperty("evictions", static_cast<int>(evictions));
}

}  // namespace
}  // namespace sluice::vm
