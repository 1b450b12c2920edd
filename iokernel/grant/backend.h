// backend.h - how a grant reaches a thread. The allocator decides; a backend carries it out.
//
// futex  (futex.h)   futex wake and sched_setaffinity; preempts by a signal. Works everywhere.
// ksched (ksched.h)  a kernel module; wakes on exactly the granted core, preempts by interrupt.
//
// Wake, Interrupt, EndTurn, Evict and Flush are called from the dataplane loop. They are the one exception to "no
// system call in the loop"; a backend counts what it spends. Enrol and Release are called from the control thread.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "policies/views.h"

namespace sluice {

// A kthread as the backend must know it. The word lies in shared memory: it is woken, never believed.
struct EnrolledThread {
  pid_t tid = 0;
  std::atomic<uint32_t>* generation = nullptr;  // GrantLine::generation, the futex word
};

struct BackendCounters {
  std::atomic<uint64_t> wakes{0};
  std::atomic<uint64_t> moves{0};       // affinity changes
  std::atomic<uint64_t> interrupts{0};  // cede signals sent
  std::atomic<uint64_t> turns{0};       // signals that end a uthread's turn
  std::atomic<uint64_t> evictions{0};
  std::atomic<uint64_t> overstays{0};  // had said that they had parked, and were put off the core all the same
  std::atomic<uint64_t> failures{0};   // the kernel refused one of these
};

class GrantBackend {
 public:
  virtual ~GrantBackend() = default;
  [[nodiscard]] virtual std::string_view name() const = 0;

  // Control thread. The app is not yet, or no longer, known to the loop.
  virtual void Enrol(AppId app, pid_t pid, std::span<const EnrolledThread> threads, Priority priority) = 0;
  virtual void Release(AppId app) = 0;

  // Dataplane loop.
  virtual void Wake(AppId app, KthreadId kthread, CoreId core) = 0;  // after GrantIssuer::Grant
  virtual void Interrupt(AppId app, KthreadId kthread) = 0;          // after GrantIssuer::Cede
  virtual void EndTurn(AppId, KthreadId) {}                          // after GrantIssuer::EndTurn
  virtual void Evict(AppId app, KthreadId kthread) = 0;              // it does not answer: push it off the core
  virtual void Flush() {}  // the batch is complete: whatever of it was put off is carried out now

  // Feature bits (abi/version.h) that apps must know of to be granted cores this way.
  [[nodiscard]] virtual uint64_t features() const { return 0; }
  // Grants by latency as the kernel saw it, up to the instruction before user space: bucket n counts those of 2^n to
  // 2^(n + 1) cycles. Empty: the kernel does not measure. Any thread.
  [[nodiscard]] virtual std::vector<uint64_t> KernelLatency() const { return {}; }
  [[nodiscard]] const BackendCounters& counters() const { return counters_; }

 protected:
  BackendCounters counters_;
};

// Grants nothing to nobody: for tests, the simulator and --port null benches.
class NullBackend final : public GrantBackend {
 public:
  [[nodiscard]] std::string_view name() const override { return "null"; }
  void Enrol(AppId, pid_t, std::span<const EnrolledThread>, Priority) override {}
  void Release(AppId) override {}
  void Wake(AppId, KthreadId, CoreId) override {}
  void Interrupt(AppId, KthreadId) override {}
  void Evict(AppId, KthreadId) override {}
};

}  // namespace sluice
