// rig.h - an IOKernel and threads for the tests of the ksched module, which run in a guest of scripts/vm.sh.
//
// CPU 0 is the IOKernel's, that is the test's; CPUs 1 to 3 are managed.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "iokernel/abi/clock.h"
#include "iokernel/grant/ksched_device.h"

namespace sluice::vm {

inline constexpr uint32_t kFirstCore = 1, kLastCore = 3, kCores = 3;

inline void RunOn(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  ASSERT_EQ(0, sched_setaffinity(0, sizeof set, &set)) << "CPU " << cpu;
}

inline int CpuCount(pid_t tid) {
  cpu_set_t set;
  CPU_ZERO(&set);
  return sched_getaffinity(tid, sizeof set, &set) == 0 ? CPU_COUNT(&set) : -1;
}

// Waits for what other threads bring about; a guest may be slow, so the bound is generous.
inline bool Eventually(const std::function<bool()>& condition, int seconds = 30) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    sched_yield();
  }
  return true;
}

// A thread's file.
class Enrolment {
 public:
  explicit Enrolment(int cede_signal = 0, int yield_signal = 0) : fd_(open(KSCHED_DEVICE, O_RDWR | O_CLOEXEC)) {
    ksched_enrol enrol{KSCHED_ABI_VERSION, cede_signal, yield_signal, 0};
    error_ = fd_ >= 0 && ioctl(fd_, KSCHED_IOC_ENROL, &enrol) == 0 ? 0 : errno;
  }
  ~Enrolment() { close(fd_); }
  Enrolment(const Enrolment&) = delete;
  Enrolment& operator=(const Enrolment&) = delete;

  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] int error() const { return error_; }
  // 0 or an errno.
  [[nodiscard]] int Park() const { return ioctl(fd_, KSCHED_IOC_PARK) == 0 ? 0 : errno; }
  [[nodiscard]] int Unpark() const { return ioctl(fd_, KSCHED_IOC_UNPARK) == 0 ? 0 : errno; }

 private:
  int fd_;
  int error_;
};

// A thread that parks, and holds what it is granted until it is told to park or is ceded.
class Worker {
 public:
  Worker() {
    signal(SIGURG, [](int) { ceded_here = true, cedes_here++; });
    signal(SIGUSR2, [](int) { yields_here++; });
    thread_ = std::thread([this] { Main(); });
    while (tid_ == 0) sched_yield();
  }
  ~Worker() { Stop(); }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void Stop() {
    if (!thread_.joinable()) return;
    stop_ = true;
    (void)enrolment_->Unpark();
    thread_.join();
  }
  void Hold(bool hold) { hold_ = hold; }

  [[nodiscard]] pid_t tid() const { return tid_; }
  [[nodiscard]] uint64_t grants() const { return grants_.load(); }
  [[nodiscard]] int cpu() const { return cpu_; }         // where it ran at its last grant
  [[nodiscard]] bool parked() const { return parked_; }  // or about to
  [[nodiscard]] int last_error() const { return error_; }
  [[nodiscard]] uint64_t cedes() const { return cedes_; }
  [[nodiscard]] uint64_t yields() const { return yields_; }
  // Called with each grant, on the core.
  std::function<void(int cpu)> on_grant;

 private:
  void Main() {
    Enrolment enrolment(SIGURG, SIGUSR2);
    enrolment_ = &enrolment;
    EXPECT_EQ(0, enrolment.error());
    tid_ = gettid();
    while (!stop_) {
      parked_ = true;
      const int error = enrolment.Park();
      parked_ = false;
      cpu_ = sched_getcpu();
      if (error != 0) {
        error_ = error;
        if (error == ENODEV) break;
        continue;
      }
      ceded_here = false;
      if (on_grant) on_grant(cpu_);
      grants_++;
      while (hold_ && !stop_ && !ceded_here) {
        yields_ = yields_here.load();
        sched_yield();
      }
      cedes_ = cedes_here.load();
      yields_ = yields_here.load();
    }
    while (!stop_) sched_yield();
  }

  static inline thread_local volatile std::sig_atomic_t ceded_here = false;
  static inline thread_local std::atomic<uint64_t> cedes_here{0}, yields_here{0};
  std::atomic<pid_t> tid_{0};
  std::atomic<uint64_t> grants_{0}, cedes_{0}, yields_{0};
  std::atomic<int> cpu_{-1}, error_{0};
  std::atomic<bool> stop_{false}, hold_{false}, parked_{false};
  Enrolment* enrolment_ = nullptr;
  std::thread thread_;
};

// Sets a parameter of the module, and puts it back.
class Parameter {
 public:
  Parameter(const char* name, unsigned value) : file_(std::string("/sys/module/ksched/parameters/") + name) {
    EXPECT_TRUE(std::ifstream(file_) >> before_) << file_;
    Write(value);
  }
  ~Parameter() { Write(before_); }
  Parameter(const Parameter&) = delete;
  Parameter& operator=(const Parameter&) = delete;

 private:
  void Write(unsigned value) { EXPECT_TRUE(std::ofstream(file_) << value << std::flush) << file_; }
  const std::string file_;
  unsigned before_ = 0;
};

class KschedTest : public testing::Test {
 protected:
  void SetUp() override {
    RunOn(0);
    auto claimed = KschedDevice::Claim();
    ASSERT_TRUE(claimed) << claimed.error();
    device_ = std::move(*claimed);
  }

  // A worker that any CPU may run until it is granted one.
  std::unique_ptr<Worker> MakeWorker() {
    cpu_set_t all;
    CPU_ZERO(&all);
    for (int cpu = 0; cpu <= static_cast<int>(kLastCore); ++cpu) CPU_SET(cpu, &all);
    sched_setaffinity(0, sizeof all, &all);
    auto worker = std::make_unique<Worker>();
    RunOn(0);
    return worker;
  }
  uint32_t Adopt(const Worker& worker) {
    const auto handle = device_->Adopt(getpid(), worker.tid());
    EXPECT_TRUE(handle) << strerror(handle.error());
    return handle.value_or(0);
  }
  // Writes the grant and makes the core look.
  uint32_t Give(uint32_t cpu, uint32_t handle) {
    const uint32_t generation = device_->Grant(cpu, handle, abi::ReadTsc());
    if (!device_->Watching(cpu)) {
      EXPECT_EQ(0, device_->Kick(cpu));
    }
    return generation;
  }
  bool Idle(uint32_t cpu) { return device_->Holder(cpu) == 0; }

  std::unique_ptr<KschedDevice> device_;
};

// True if the environment asks for the long counts.
inline bool FullCounts() { return getenv("SLUICE_TEST_FULL") != nullptr; }

}  // namespace sluice::vm
