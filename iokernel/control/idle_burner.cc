// idle_burner.cc - see idle_burner.h.
#include "iokernel/control/idle_burner.h"

#include <cpuid.h>
#include <pthread.h>
#include <sched.h>

#include <cstring>
#include <set>

namespace sluice {
namespace {

// About a microsecond.
constexpr int kPausesBetweenYields = 64;

// 0, or the error of whatever was refused. Before it spins, a burner has to be where it harms nobody.
int BecomeHarmless(uint16_t cpu) {
  const sched_param none{};
  if (const int error = pthread_setschedparam(pthread_self(), SCHED_IDLE, &none)) return error;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  return pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

}  // namespace

std::string IdleBurner::Start(std::span<const uint16_t> cpus) {
  Stop();
  stop_ = false;
  std::string refused;
  for (const uint16_t cpu : std::set<uint16_t>(cpus.begin(), cpus.end())) {
    std::atomic<int> placed{-1};
    threads_.emplace_back([this, cpu, &placed] {
      pthread_setname_np(pthread_self(), "sluice-burner");
      const int error = BecomeHarmless(cpu);
      placed = error;
      placed.notify_one();
      if (error != 0) return;
      while (!stop_.load(std::memory_order_relaxed)) {
        for (int i = 0; i < kPausesBetweenYields; ++i) __builtin_ia32_pause();
        sched_yield();
      }
    });
    placed.wait(-1);
    if (placed == 0) continue;
    refused += (refused.empty() ? "no idle burner on CPU " : ", ") + std::to_string(cpu) + ": " + std::strerror(placed);
    threads_.back().join();
    threads_.pop_back();
  }
  return refused;
}

void IdleBurner::Stop() {
  stop_ = true;
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

bool IsVirtualMachine() {
  constexpr unsigned kHypervisorBit = 1u << 31;
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & kHypervisorBit) != 0;
}

}  // namespace sluice
