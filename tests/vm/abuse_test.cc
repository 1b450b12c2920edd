// abuse_test.cc - what hostile or unlucky processes can do to the ksched module. CI runs a little of each; with
// SLUICE_TEST_FULL=1 a minute, a thousand rounds. What went wrong shows on the guest's console, too.
#include <sys/mman.h>
#include <sys/wait.h>

#include <fstream>
#include <random>
#include <string>

#include "tests/vm/rig.h"

namespace sluice::vm {
namespace {

using Clock = std::chrono::steady_clock;

constexpr unsigned kCalls[] = {KSCHED_IOC_VERSION,   KSCHED_IOC_ENROL, KSCHED_IOC_PARK,    KSCHED_IOC_UNPARK,
                               KSCHED_IOC_CLAIM,     KSCHED_IOC_ADOPT, KSCHED_IOC_RELEASE, KSCHED_IOC_KICK,
                               KSCHED_IOC_KICK_MASK, KSCHED_IOC_EVICT};

bool CpuOnline(int cpu, bool online) {
  std::ofstream file("/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/online");
  file << (online ? "1" : "0") << std::flush;
  return file.good();
}

// One file, one random thing after another. A park is ended by the alarm of the process.
class Fuzzer {
 public:
  explicit Fuzzer(uint32_t seed) : random_(seed) {
    memory_ =
        static_cast<unsigned char*>(mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    mprotect(memory_ + 4096, 4096, PROT_NONE);  // an argument may end in it
  }

  void Step() {
    if (fd_ < 0 || random_() % 200 == 0) {
      if (fd_ >= 0) close(fd_);
      fd_ = open(KSCHED_DEVICE, O_RDWR);
    }
    if (random_() % 50 == 0) return Map();
    const unsigned call = random_() % 20 == 0 ? Word() : kCalls[random_() % std::size(kCalls)];
    ioctl(fd_, call, Argument());
  }

 private:
  uint32_t Word() { return static_cast<uint32_t>(random_()); }
  uint32_t Small() { return random_() % 3 == 0 ? Word() : random_() % 8; }

  // A number, an address of ours with more or less sensible words behind it, or any address.
  unsigned long Argument() {
    switch (random_() % 4) {
      case 0:
        return Small();
      case 1:
        return (static_cast<unsigned long>(Word()) << 32) | Word();
      default:
        const size_t room = random_() % 10 == 0 ? random_() % 64 : 256;
        unsigned char* start = memory_ + 4096 - room;
        for (size_t i = 0; i + 4 <= room; i += 4) {
          uint32_t word = random_() % 2 == 0 ? 1 : Small();
          if (random_() % 6 == 0) word = static_cast<uint32_t>(random_() % 2 == 0 ? gettid() : getpid());
          memcpy(start + i, &word, 4);
        }
        return reinterpret_cast<unsigned long>(start);
    }
  }

  void Map() {
    const off_t offsets[] = {KSCHED_MAP_REQUESTS, KSCHED_MAP_STATUS, KSCHED_MAP_STATS, 4096, Word() & ~4095L};
    const size_t bytes = 4096u << (random_() % 4);
    void* memory = mmap(nullptr, bytes, random_() % 2 == 0 ? PROT_READ : PROT_READ | PROT_WRITE, MAP_SHARED, fd_,
                        offsets[random_() % std::size(offsets)]);
    if (memory == MAP_FAILED) return;
    // Rubbish in the request lines, if that is what they are; the mapping goes at once or stays behind.
    if (mprotect(memory, 4096, PROT_READ | PROT_WRITE) == 0) {
      for (size_t i = 0; i < 1024; i += 1 + random_() % 16) static_cast<uint32_t*>(memory)[i] = Small();
      for (uint32_t cpu = 0; cpu <= kLastCore; ++cpu) ioctl(fd_, KSCHED_IOC_KICK, cpu);
    }
    if (random_() % 2 == 0) munmap(memory, bytes);
  }

  std::mt19937 random_;
  unsigned char* memory_;
  int fd_ = -1;
};

TEST(Abuse, EveryCallWithRandomArguments) {
  const auto end = Clock::now() + std::chrono::seconds(FullCounts() ? 60 : 10);
  uint32_t seed = 1;
  while (Clock::now() < end) {
    std::vector<pid_t> children;
    for (int i = 0; i < 4; ++i) {
      seed++;
      const pid_t child = fork();
      if (child == 0) {
        // Not SA_RESTART: whoever parks for ever goes on.
        struct sigaction action {};
        action.sa_handler = [](int) {};
        for (int number = 1; number < 32; ++number) sigaction(number, &action, nullptr);
        const itimerval tick{{0, 2000}, {0, 2000}};
        setitimer(ITIMER_REAL, &tick, nullptr);
        std::vector<std::thread> threads;
        for (uint32_t t = 0; t < 3; ++t) {
          threads.emplace_back([&, t] {
            Fuzzer fuzzer(seed * 16 + t);
            for (int step = 0; step < 3000; ++step) fuzzer.Step();
          });
        }
        for (auto& thread : threads) thread.detach();
        usleep(300'000);
        _exit(0);
      }
      children.push_back(child);
    }
    for (const pid_t child : children) {
      int status = 0;
      ASSERT_EQ(child, waitpid(child, &status, 0));
      ASSERT_TRUE(WIFEXITED(status) || WIFSIGNALED(status));
    }
  }
  // The device works as before.
  ASSERT_TRUE(Eventually([] { return KschedDevice::Claim().has_value(); }));
}

// The IOKernel of a round: grants four threads of two apps cores at random until it is killed.
[[noreturn]] void RunIoKernel(const std::vector<std::pair<pid_t, pid_t>>& threads, uint32_t seed) {
  auto device = KschedDevice::Claim();
  if (!device) _exit(1);
  std::vector<uint32_t> handles;
  for (const auto& [process, thread] : threads) handles.push_back((*device)->Adopt(process, thread).value_or(0));
  std::mt19937 random(seed);
  while (true) {
    const uint32_t cpu = kFirstCore + random() % kCores;
    const uint32_t generation = (*device)->Grant(cpu, handles[random() % handles.size()], abi::ReadTsc());
    if (random() % 4 == 0) (*device)->Cede(cpu, generation);
    if (random() % 16 == 0) (void)(*device)->Evict(handles[random() % handles.size()]);
    if (random() % 4 == 0 || !(*device)->Watching(cpu)) (void)(*device)->Kick(cpu);
  }
}

// An app: two threads that park, and now and then run on without asking.
[[noreturn]] void RunApp(int ready) {
  signal(SIGURG, [](int) {});
  for (int i = 0; i < 2; ++i) {
    std::thread([ready, i] {
      const Enrolment enrolment(SIGURG, 0);
      const pid_t tid = gettid();
      if (write(ready, &tid, sizeof tid) != sizeof tid) _exit(1);
      for (uint64_t n = 0;; ++n) {
        if (enrolment.Park() == ENODEV) sched_yield();
        for (int spin = 0; spin < (n % 64 == 0 ? 20000 : 20); ++spin) asm volatile("pause" : : "r"(i));
      }
    }).detach();
  }
  while (true) pause();
}

TEST(Abuse, KillTheIoKernelAndAppsAtRandom) {
  const int rounds = FullCounts() ? 1000 : 30;
  std::mt19937 random(11);
  struct Child {
    pid_t pid;
    std::vector<std::pair<pid_t, pid_t>> threads;
  };
  const auto start_app = [] {
    int ready[2];
    EXPECT_EQ(0, pipe(ready));
    Child child{fork(), {}};
    if (child.pid == 0) RunApp(ready[1]);
    for (int i = 0; i < 2; ++i) {
      pid_t tid = 0;
      EXPECT_EQ(static_cast<ssize_t>(sizeof tid), read(ready[0], &tid, sizeof tid));
      child.threads.emplace_back(child.pid, tid);
    }
    close(ready[0]);
    close(ready[1]);
    return child;
  };
  const auto end = [](pid_t pid) {
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
  };
  std::vector<Child> apps{start_app(), start_app()};
  for (int round = 0; round < rounds; ++round) {
    auto threads = apps[0].threads;
    threads.insert(threads.end(), apps[1].threads.begin(), apps[1].threads.end());
    const pid_t iokernel = fork();
    if (iokernel == 0) RunIoKernel(threads, static_cast<uint32_t>(round));
    usleep(random() % 20'000);
    const bool app_first = random() % 2 == 0;
    if (app_first) {
      Child& app = apps[random() % 2];
      end(app.pid);
      usleep(random() % 5'000);
      app = start_app();
    }
    end(iokernel);
  }
  for (const Child& app : apps) end(app.pid);
  auto device = KschedDevice::Claim();
  ASSERT_TRUE(device) << device.error();
  for (uint32_t cpu = 0; cpu <= kLastCore; ++cpu) EXPECT_EQ(0u, (*device)->Holder(cpu));
}

// Grants go on while a CPU comes and goes, and while there is no memory to be had.
class UnderPressure : public KschedTest {
 protected:
  // Grants at random; none may get stuck.
  void GrantFor(std::chrono::seconds time) {
    std::vector<std::unique_ptr<Worker>> workers;
    std::vector<uint32_t> handles;
    for (int i = 0; i < 4; ++i) {
      workers.push_back(MakeWorker());
      handles.push_back(Adopt(*workers.back()));
    }
    std::mt19937 random(5);
    const auto end = Clock::now() + time;
    while (Clock::now() < end) {
      const uint32_t cpu = kFirstCore + random() % kCores;
      const uint32_t generation = Give(cpu, handles[random() % handles.size()]);
      ASSERT_TRUE(Eventually([&] { return device_->Served(cpu) == generation; })) << "CPU " << cpu;
    }
    uint64_t grants = 0;
    for (uint32_t cpu = kFirstCore; cpu <= kLastCore; ++cpu) grants += device_->Stats(cpu).grants;
    EXPECT_GT(grants, 100u);
  }
};

TEST_F(UnderPressure, CpuOffAndOn) {
  const std::chrono::seconds time(FullCounts() ? 60 : 10);
  std::atomic<bool> stop{false};
  std::atomic<int> turns{0};
  std::thread hotplug([&] {
    while (!stop) {
      if (CpuOnline(2, turns % 2 == 1)) turns++;
    }
    CpuOnline(2, true);
  });
  GrantFor(time);
  stop = true;
  hotplug.join();
  EXPECT_GT(turns, 2);
}

// What the kernel has left, in bytes.
size_t Available() {
  std::ifstream file("/proc/meminfo");
  std::string word;
  while (file >> word) {
    size_t kilobytes = 0;
    if (word == "MemAvailable:" && file >> kilobytes) return kilobytes * 1024;
  }
  return 0;
}

// A child takes all there is but a little, and gives it back, again and again; it enrols itself meanwhile. It stops
// short of the kernel's own killing, whose report looks like trouble.
TEST_F(UnderPressure, MemoryIsShort) {
  const std::chrono::seconds time(FullCounts() ? 60 : 10);
  const pid_t eater = fork();
  if (eater == 0) {
    constexpr size_t kChunk = size_t{4} << 20;
    constexpr size_t kLeft = size_t{48} << 20;
    std::vector<void*> chunks;
    while (true) {
      const Enrolment enrolment;
      while (Available() > kLeft) {
        void* chunk = mmap(nullptr, kChunk, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        if (chunk == MAP_FAILED) break;
        chunks.push_back(chunk);
      }
      for (void* chunk : chunks) munmap(chunk, kChunk);
      chunks.clear();
    }
  }
  GrantFor(time);
  kill(eater, SIGKILL);
  waitpid(eater, nullptr, 0);
}

}  // namespace
}  // namespace sluice::vm
