// ksched.h - grants by the kernel module: see ksched/ksched_uapi.h for the contract, ksched/README.md for what happens
// in every odd case.
//
//   Wake       writes the CPU's request line; a kick unless the CPU watches it
//   Interrupt  a word in the same line and a kick: the module signals whoever holds the CPU by that grant
//   EndTurn    the same with another word, and the same signal
//   Flush      all kicks since the last one, in one system call
//   Evict      the module takes the CPU away; the thread goes on under Linux, as SCHED_IDLE
//
// An app says in memory that it has parked, and then calls the kernel. One that does not call keeps the CPU, and the
// next grant of it waits: after `overstay` it is evicted. One that was only slow loses nothing by that, it waits
// already; one that has been granted another CPU meanwhile would lose that, and is left to the module's grace.
//
// An app whose threads have not all enrolled (no /dev/ksched in its container) is served by futex: its kthreads then
// share CPUs with others' as the futex backend lets them.
//
// Threads: as in backend.h.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "iokernel/grant/futex.h"
#include "iokernel/grant/ksched_device.h"

namespace sluice {

class KschedBackend final : public GrantBackend {
 public:
  KschedBackend(std::unique_ptr<KschedDevice> device, const FutexOptions& options);

  [[nodiscard]] std::string_view name() const override { return "ksched"; }
  [[nodiscard]] uint64_t features() const override;
  void Enrol(AppId app, pid_t pid, std::span<const EnrolledThread> threads, Priority priority) override;
  void Release(AppId app) override;
  void Wake(AppId app, KthreadId kthread, CoreId core) override;
  void Interrupt(AppId app, KthreadId kthread) override;
  void EndTurn(AppId app, KthreadId kthread) override;
  void Evict(AppId app, KthreadId kthread) override;
  void Flush() override;
  [[nodiscard]] std::vector<uint64_t> KernelLatency() const override;

 private:
  struct Thread {
    uint32_t handle = 0;
    pid_t tid = 0;
    uint32_t cpu = 0;         // of its last grant
    uint32_t generation = 0;  // of its last grant, as the device numbers them
  };
  // A grant that the kernel may not have carried out.
  struct Waiting {
    uint32_t cpu = 0;
    uint32_t handle = 0;
    uint32_t generation = 0;
    Ticks since = 0;
  };
  void Refused(int error);
  void PutOffWhoStays();
  [[nodiscard]] bool GrantedElsewhere(uint32_t handle, uint32_t cpu) const;
  // Null: the app is served by futex, or unknown.
  Thread* Find(AppId app, KthreadId kthread);

  std::unique_ptr<KschedDevice> device_;
  FutexBackend futex_;
  std::vector<uint16_t> core_cpus_;
  std::vector<uint32_t> to_kick_;  // CPUs, since the last Flush; some more than once
  const Ticks overstay_;
  std::vector<Waiting> waiting_;  // the oldest first, one for each CPU
  std::array<std::vector<Thread>, kMaxApps> apps_;
};

}  // namespace sluice
