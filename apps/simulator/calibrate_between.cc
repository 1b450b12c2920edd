// calibrate_between.cc - see calibrate.h: what takes two CPUs.
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <thread>

#include "apps/simulator/calibrate.h"
#include "iokernel/abi/check.h"
#include "iokernel/abi/lrpc.h"

namespace sluice::sim {
namespace {

constexpr uint32_t kTries = 200;

Time Median(std::vector<uint64_t>* ns) {
  const auto middle = ns->begin() + static_cast<std::ptrdiff_t>(ns->size() / 2);
  std::nth_element(ns->begin(), middle, ns->end());
  return *middle * kNs;
}

uint64_t Since(uint64_t begin, uint64_t end) { return end > begin ? end - begin : 0; }

template <class Done>
void SpinUntil(Done&& done) {
  while (!done()) {
  }
}

// Runs `body` on the CPU `other` until it is told to stop.
template <class Body>
std::jthread OnOther(uint32_t other, Body body) {
  SLUICE_CHECK(static_cast<int>(other) != sched_getcpu(), "a cost between two CPUs is measured on two");
  return std::jthread([other, body = std::move(body)](const std::stop_token& stop) {
    PinTo(other);
    body(stop);
  });
}

// One direction, as between the IOKernel and a kthread.
class Ring {
 public:
  void Send() { SLUICE_CHECK(sender_.Send(0, 0), "a ring whose messages are taken one by one has room"); }
  bool Receive() {
    abi::LrpcMessage message;
    return receiver_.Receive(&message);
  }

 private:
  static constexpr uint32_t kSlots = 64;
  alignas(64) std::array<abi::LrpcSlot, kSlots> slots_{};
  alignas(64) std::atomic<uint32_t> head_{0};
  alignas(64) abi::LrpcSender sender_{slots_.data(), kSlots, &head_};
  alignas(64) abi::LrpcReceiver receiver_{slots_.data(), kSlots, &head_};
};

std::atomic<uint64_t> handled{0};
extern "C" void OnCalibrationSignal(int) { handled.store(NowNs()); }

}  // namespace

std::vector<uint32_t> AllowedCpus() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  sched_getaffinity(0, sizeof allowed, &allowed);
  std::vector<uint32_t> cpus;
  for (uint32_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &allowed)) cpus.push_back(cpu);
  }
  return cpus;
}

void PinTo(uint32_t cpu) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  SLUICE_CHECK(sched_setaffinity(0, sizeof one, &one) == 0 && sched_getcpu() == static_cast<int>(cpu),
               "a CPU that we were allowed to use is there");
}

Time MeasureHop(uint32_t other) {
  constexpr uint32_t kRounds = 10;  // so few that some try is not interrupted
  Ring there, back;
  const std::jthread echo = OnOther(other, [&](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      if (there.Receive()) back.Send();
    }
  });
  return Each(2 * kRounds, [&] {
    for (uint32_t i = 0; i < kRounds; ++i) {
      there.Send();
      SpinUntil([&] { return back.Receive(); });
    }
  });
}

// A futex wake of a thread that has slept a little, as a grant is.
Handing MeasureWake(uint32_t other) {
  std::atomic<uint32_t> word{0};
  std::atomic<uint64_t> ran{0};
  const std::jthread sleeper = OnOther(other, [&](const std::stop_token&) {
    for (uint32_t seen = 0; seen < kTries;) {
      syscall(SYS_futex, &word, FUTEX_WAIT, seen, nullptr, nullptr, 0);
      if (word.load() == seen) continue;
      seen = word.load();
      ran.store(NowNs());
    }
  });
  std::vector<uint64_t> caller, there;
  for (uint32_t i = 1; i <= kTries; ++i) {
    const timespec nap{.tv_sec = 0, .tv_nsec = 20'000};
    nanosleep(&nap, nullptr);
    ran.store(0);
    const uint64_t start = NowNs();
    word.store(i);
    syscall(SYS_futex, &word, FUTEX_WAKE, 1, nullptr, nullptr, 0);
    const uint64_t returned = NowNs();
    SpinUntil([&] { return ran.load() != 0; });
    caller.push_back(returned - start);
    there.push_back(Since(returned, ran.load()));
  }
  return {.caller = Median(&caller), .there = Median(&there)};
}

// A signal to a thread that computes.
Handing MeasureSignal(uint32_t other) {
  struct sigaction action {};
  struct sigaction before {};
  action.sa_handler = OnCalibrationSignal;
  sigaction(SIGUSR1, &action, &before);
  std::atomic<pid_t> tid{0};
  std::atomic<uint64_t> resumed{0};
  handled.store(0);
  std::jthread computer = OnOther(other, [&](const std::stop_token& stop) {
    tid.store(gettid());
    for (uint64_t seen = 0; !stop.stop_requested();) {
      const uint64_t latest = handled.load();
      const uint64_t now = NowNs();  // after the handler, if it has run
      if (latest == seen) continue;
      seen = latest;
      resumed.store(now);
    }
  });
  SpinUntil([&] { return tid.load() != 0; });
  std::vector<uint64_t> caller, there, after;
  for (uint32_t i = 0; i < kTries; ++i) {
    const uint64_t last = handled.load();
    const uint64_t start = NowNs();
    syscall(SYS_tgkill, getpid(), tid.load(), SIGUSR1);
    const uint64_t returned = NowNs();
    SpinUntil([&] { return handled.load() != last && resumed.load() >= handled.load(); });
    caller.push_back(returned - start);
    there.push_back(Since(returned, handled.load()));
    after.push_back(resumed.load() - handled.load());
  }
  computer = {};
  sigaction(SIGUSR1, &before, nullptr);
  return {.caller = Median(&caller), .there = Median(&there), .after = Median(&after)};
}

Time MeasureCold(uint32_t other, uint32_t lines) {
  // Each line says which comes next: far enough apart that none is fetched along with another.
  struct alignas(64) Line {
    std::atomic<uint32_t> next;
  };
  constexpr uint32_t kApart = 5;
  std::vector<Line> memory(size_t{lines} * kApart);
  std::atomic<uint32_t> asked{0}, written{0};
  const std::jthread writer = OnOther(other, [&](const std::stop_token& stop) {
    for (uint32_t round = 0; !stop.stop_requested();) {
      if (asked.load(std::memory_order_acquire) == round) continue;
      for (uint32_t i = 0; i < lines; ++i) memory[i * kApart].next.store((i + 1) * kApart, std::memory_order_relaxed);
      written.store(++round, std::memory_order_release);
    }
  });
  const auto walk = [&] {
    uint32_t at = 0;
    for (uint32_t i = 0; i < lines; ++i) at = memory[at].next.load(std::memory_order_relaxed);
    asm volatile("" : : "r"(at));
  };
  std::vector<uint64_t> colder;
  for (uint32_t round = 1; round <= kTries; ++round) {
    asked.store(round, std::memory_order_release);
    SpinUntil([&] { return written.load(std::memory_order_acquire) == round; });
    const uint64_t start = NowNs();
    walk();
    const uint64_t middle = NowNs();
    walk();
    colder.push_back(Since(NowNs() - middle, middle - start));
  }
  return Median(&colder);
}

}  // namespace sluice::sim
