// idle_burner.h - keeps the managed CPUs of a virtual machine from being halted while nobody runs on them.
//
// A virtual CPU that has nothing to run is halted, and its host takes 20 to 30 us to bring it back when a kthread is
// woken. A thread that spins there as SCHED_IDLE costs whoever is woken next to nothing (any other thread takes the
// CPU from it at once), but the CPU's time is used up whole. On bare metal that would buy little and cost power and
// the other cores' turbo, so there it stays off.
//
// Best-effort kthreads are SCHED_IDLE, too: beside them a burner gives way after about a microsecond.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <thread>
#include <vector>

namespace sluice {

class IdleBurner {
 public:
  IdleBurner() = default;
  ~IdleBurner() { Stop(); }
  IdleBurner(const IdleBurner&) = delete;
  IdleBurner& operator=(const IdleBurner&) = delete;

  // One thread on each of these CPUs, named once or often. Returns why some of it could not be; empty: all is well.
  [[nodiscard]] std::string Start(std::span<const uint16_t> cpus);
  void Stop();
  [[nodiscard]] size_t threads() const { return threads_.size(); }

 private:
  std::atomic<bool> stop_{false};
  std::vector<std::thread> threads_;
};

// Whether a hypervisor says that it is one.
[[nodiscard]] bool IsVirtualMachine();

}  // namespace sluice
