// futex.h - grants by futex, cedes by signal: the backend that needs nothing but Linux.
//
//   Wake       FUTEX_WAKE on the grant line's generation, which lies in a memfd that both sides map: a shared
//              futex, keyed by the file. Before it sched_setaffinity, if the slot's CPU is not the thread's.
//   Interrupt  kCedeSignal to the one thread: by a pidfd of the thread where the kernel has those (6.9),
//              else by tgkill after the process's pidfd has shown that the process still lives.
//   EndTurn    the same signal: what it means is in the kthread's grant line
//   Evict      SCHED_IDLE, and affinity to CPUs that nobody manages, if there are any.
//
// What it cannot do: hold a thread on its core. An app that changes its own affinity, or starts more threads,
// is kept off the managed CPUs by a cpuset or not at all.
//
// Threads: Enrol and Release on the control thread, for an app that the loop does not know; the rest on the
// loop. An app's slot is handed from one to the other by the loop's command queue.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "iokernel/grant/backend.h"

namespace sluice {

struct FutexOptions {
  std::vector<uint16_t> core_cpus;  // CPU of each core slot, by CoreId
  uint16_t loop_cpu = 0;            // the dataplane's own: an evicted thread does not go there
  Ticks overstay = 0;         // ksched: for how long who said that he had parked may hold the next one up; 0: any time
  bool thread_pidfds = true;  // false: signal by tgkill, as where the kernel has no pidfds of threads
};

class FutexBackend final : public GrantBackend {
 public:
  explicit FutexBackend(const FutexOptions& options);
  ~FutexBackend() override;
  FutexBackend(const FutexBackend&) = delete;
  FutexBackend& operator=(const FutexBackend&) = delete;

  [[nodiscard]] std::string_view name() const override { return "futex"; }
  void Enrol(AppId app, pid_t pid, std::span<const EnrolledThread> threads, Priority priority) override;
  void Release(AppId app) override;
  void Wake(AppId app, KthreadId kthread, CoreId core) override;
  void Interrupt(AppId app, KthreadId kthread) override;
  void EndTurn(AppId app, KthreadId kthread) override;
  void Evict(AppId app, KthreadId kthread) override;

  // The CPU to which the kthread is bound now; -1: to no single one.
  [[nodiscard]] int BoundCpu(AppId app, KthreadId kthread) const;
  // True if signals go to a thread by pidfd, false if by tgkill.
  [[nodiscard]] bool ThreadPidfds() const { return thread_pidfds_; }

 private:
  struct Thread;
  struct Enrolled;

  Thread* Find(AppId app, KthreadId kthread) const;
  bool Alive(const Enrolled& enrolled, const Thread& thread) const;
  void Signal(AppId app, KthreadId kthread, std::atomic<uint64_t>& counter);
  void Refused(int error);

  std::vector<uint16_t> core_cpus_;
  std::vector<uint16_t> exile_cpus_;
  bool one_cpu_ = false;  // all slots are on one CPU: nothing ever moves
  bool thread_pidfds_ = false;
  std::array<std::unique_ptr<Enrolled>, kMaxApps> apps_;
};

}  // namespace sluice
