// futex.cc - the system calls behind a grant.
#include "iokernel/grant/futex.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "iokernel/abi/cede_signal.h"
#include "iokernel/abi/check.h"
#include "iokernel/grant/threads.h"

namespace sluice {

static_assert(abi::kCedeSignal == SIGURG);

namespace {

constexpr unsigned kPidfdThread = O_EXCL;  // PIDFD_THREAD, newer than this system's headers

void Count(std::atomic<uint64_t>& counter) {
  counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

int PidfdOpen(pid_t id, unsigned flags) { return static_cast<int>(syscall(SYS_pidfd_open, id, flags)); }
int PidfdSignal(int pidfd, int signal) {
  return static_cast<int>(syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0));
}

cpu_set_t CpuSet(std::span<const uint16_t> cpus) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const uint16_t cpu : cpus) CPU_SET(cpu, &set);
  return set;
}

}  // namespace

struct FutexBackend::Thread {
  EnrolledThread enrolled;
  int pidfd = -1;  // of the thread; -1: signalled by tgkill
  int cpu = -1;    // bound to this CPU
  bool evicted = false;
};

struct FutexBackend::Enrolled {
  pid_t pid = 0;
  int pidfd = -1;  // of the process
  std::vector<Thread> threads;

  ~Enrolled() {
    for (const Thread& thread : threads) {
      if (thread.pidfd >= 0) close(thread.pidfd);
    }
    if (pidfd >= 0) close(pidfd);
  }
};

FutexBackend::FutexBackend(const FutexOptions& options) : core_cpus_(options.core_cpus) {
  SLUICE_CHECK(!core_cpus_.empty(), "a machine without core slots");
  one_cpu_ = std::all_of(core_cpus_.begin(), core_cpus_.end(), [&](uint16_t cpu) { return cpu == core_cpus_[0]; });
  // Of the process that started everything here: our own threads may have been bound already.
  cpu_set_t ours;
  CPU_ZERO(&ours);
  if (sched_getaffinity(1, sizeof(ours), &ours) != 0) sched_getaffinity(0, sizeof(ours), &ours);
  for (uint16_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    const bool managed = std::find(core_cpus_.begin(), core_cpus_.end(), cpu) != core_cpus_.end();
    if (CPU_ISSET(cpu, &ours) && !managed && cpu != options.loop_cpu) exile_cpus_.push_back(cpu);
  }
  const int probe = options.thread_pidfds ? PidfdOpen(gettid(), kPidfdThread) : -1;
  thread_pidfds_ = probe >= 0;
  if (probe >= 0) close(probe);
}

FutexBackend::~FutexBackend() = default;

void FutexBackend::Enrol(AppId app, pid_t pid, std::span<const EnrolledThread> threads, Priority priority) {
  auto enrolled = std::make_unique<Enrolled>();
  enrolled->pid = pid;
  enrolled->pidfd = PidfdOpen(pid, 0);
  enrolled->threads.resize(threads.size());
  for (size_t k = 0; k < threads.size(); ++k) {
    Thread& thread = enrolled->threads[k];
    thread.enrolled = threads[k];
    if (thread_pidfds_) thread.pidfd = PidfdOpen(threads[k].tid, kPidfdThread);
    // Bound ahead of its first grant, so that this costs the loop nothing.
    const uint16_t cpu = core_cpus_[k % core_cpus_.size()];
    const cpu_set_t set = CpuSet({&cpu, 1});
    if (sched_setaffinity(threads[k].tid, sizeof(set), &set) == 0) {
      thread.cpu = cpu;
    } else {
      Refused(errno);
    }
    Refused(ApplyPriority(threads[k].tid, priority));
  }
  apps_[app] = std::move(enrolled);
}

void FutexBackend::Release(AppId app) { apps_[app].reset(); }

FutexBackend::Thread* FutexBackend::Find(AppId app, KthreadId kthread) const {
  const auto& enrolled = apps_[app];
  if (enrolled == nullptr || kthread >= enrolled->threads.size()) return nullptr;
  return &enrolled->threads[kthread];
}

int FutexBackend::BoundCpu(AppId app, KthreadId kthread) const {
  const Thread* thread = Find(app, kthread);
  return thread == nullptr ? -1 : thread->cpu;
}

// Thread ids are reused once their process is gone; a pidfd is not. Between this and the call that follows lie
// less than a microsecond, in which the whole range of ids would have to go round.
bool FutexBackend::Alive(const Enrolled& enrolled, const Thread& thread) const {
  const int pidfd = thread.pidfd >= 0 ? thread.pidfd : enrolled.pidfd;
  return pidfd < 0 || PidfdSignal(pidfd, 0) == 0;
}

void FutexBackend::Refused(int error) {
  // ESRCH: it died a moment ago, and its detach is on the way.
  if (error != 0 && error != ESRCH) Count(counters_.failures);
}

void FutexBackend::Wake(AppId app, KthreadId kthread, CoreId core) {
  Thread* thread = Find(app, kthread);
  if (thread == nullptr) return;
  const int cpu = core_cpus_[core];
  if ((thread->cpu != cpu || thread->evicted) && (!one_cpu_ || thread->cpu < 0 || thread->evicted)) {
    if (!Alive(*apps_[app], *thread)) return;
    const uint16_t slot = core_cpus_[core];
    const cpu_set_t set = CpuSet({&slot, 1});
    if (sched_setaffinity(thread->enrolled.tid, sizeof(set), &set) == 0) {
      thread->cpu = cpu;
      Count(counters_.moves);
    } else {
      Refused(errno);
    }
  }
  static_assert(sizeof(*thread->enrolled.generation) == sizeof(uint32_t));
  syscall(SYS_futex, thread->enrolled.generation, FUTEX_WAKE, 1, nullptr, nullptr, 0);
  Count(counters_.wakes);
}

void FutexBackend::Interrupt(AppId app, KthreadId kthread) { Signal(app, kthread, counters_.interrupts); }
void FutexBackend::EndTurn(AppId app, KthreadId kthread) { Signal(app, kthread, counters_.turns); }

void FutexBackend::Signal(AppId app, KthreadId kthread, std::atomic<uint64_t>& counter) {
  Thread* thread = Find(app, kthread);
  if (thread == nullptr) return;
  const Enrolled& enrolled = *apps_[app];
  int result;
  if (thread->pidfd >= 0) {
    result = PidfdSignal(thread->pidfd, abi::kCedeSignal);
  } else {
    if (!Alive(enrolled, *thread)) return;
    result = static_cast<int>(syscall(SYS_tgkill, enrolled.pid, thread->enrolled.tid, abi::kCedeSignal));
  }
  if (result == 0) {
    Count(counter);
  } else {
    Refused(errno);
  }
}

void FutexBackend::Evict(AppId app, KthreadId kthread) {
  Thread* thread = Find(app, kthread);
  if (thread == nullptr || !Alive(*apps_[app], *thread)) return;
  const sched_param param{};
  bool done = sched_setscheduler(thread->enrolled.tid, SCHED_IDLE, &param) == 0;
  if (!done) Refused(errno);
  thread->evicted = true;
  if (!exile_cpus_.empty()) {
    const cpu_set_t set = CpuSet(exile_cpus_);
    if (sched_setaffinity(thread->enrolled.tid, sizeof(set), &set) == 0) {
      thread->cpu = -1;
      done = true;
    } else {
      Refused(errno);
    }
  }
  if (done) Count(counters_.evictions);
}

}  // namespace sluice
