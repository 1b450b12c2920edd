// count.cc - how many instructions a grant takes, by ksched and by futex. Run by `scripts/vm.sh count`, in a guest
// where the time stamp counter advances by one with each instruction of any CPU, and a CPU that pauses makes way for
// the next. Prints the least and the median of each path.
//
//   wake      a parked thread on an idle CPU: from before the IOKernel's call to the thread's first instruction
//   (caller)  of these, until the IOKernel's call has returned
//   watched   the same as wake for the thread that just parked, whose core still watches its request line
//   (other)   and for another thread on that core
//   move      the same for a thread that ran on another CPU before
//   cede      from before the IOKernel's call until it sees that the thread has parked, a signal handler between
//   preempt   from before the call that interrupts one thread to the first instruction of the next on that CPU, granted
//             when the IOKernel sees that the first has parked
//   handover  from before one thread's park to the next one's first instruction, on one CPU
#include <immintrin.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "iokernel/abi/cede_signal.h"
#include "iokernel/abi/check.h"
#include "iokernel/abi/clock.h"
#include "iokernel/grant/futex.h"
#include "iokernel/grant/ksched_device.h"
#include "tests/vm/rig.h"

namespace sluice::vm {
namespace {

constexpr int kRounds = 40;

template <class Condition>
void Until(Condition&& condition) {
  while (!condition()) _mm_pause();
}

// A thread that waits for grants by one of the two, and keeps each until it is ceded or released.
class Thread {
 public:
  explicit Thread(bool ksched) : thread_([this, ksched] { Main(ksched); }) {
    Until([&] { return tid != 0; });
  }
  ~Thread() { thread_.join(); }

  std::atomic<pid_t> tid{0};
  std::atomic<uint32_t> generation{0};  // the futex word
  std::atomic<uint32_t> parked{0};      // generation given back
  std::atomic<uint64_t> began{0}, parks_at{0};
  std::atomic<bool> release{true}, stop{false};
  std::atomic<uint32_t> runs{0};

 private:
  static inline thread_local volatile std::sig_atomic_t ceded = 0;

  void Main(bool ksched) {
    signal(abi::kCedeSignal, [](int) { ceded = 1; });
    std::unique_ptr<Enrolment> enrolment;
    if (ksched) enrolment = std::make_unique<Enrolment>(abi::kCedeSignal);
    tid = gettid();
    uint32_t mine = 0;
    while (true) {
      parks_at = abi::ReadTsc();
      parked.store(mine, std::memory_order_release);
      if (ksched) {
        while (ioctl(enrolment->fd(), KSCHED_IOC_PARK) != 0) {
        }
      } else {
        while (generation == mine) syscall(SYS_futex, &generation, FUTEX_WAIT, mine, nullptr, nullptr, 0);
      }
      began = abi::ReadTsc();
      mine = generation;
      ceded = 0;
      runs++;
      if (stop) return;
      while (!release && ceded == 0) _mm_pause();
    }
  }
  std::thread thread_;
};

// The two ways, as the IOKernel uses them.
struct Ksched {
  static constexpr bool kKsched = true;
  static constexpr const char* kName = "ksched";
  std::unique_ptr<KschedDevice> device = std::move(*KschedDevice::Claim());
  uint32_t handles[2]{}, last = 0;
  void Enrol(int k, Thread& thread) { handles[k] = device->Adopt(getpid(), thread.tid).value(); }
  void Wake(int k, Thread& thread, uint16_t cpu) {
    thread.generation++;
    last = device->Grant(cpu, handles[k], abi::ReadTsc());
    if (!device->Watching(cpu)) (void)device->Kick(cpu);
  }
  void Interrupt(int, uint16_t cpu) {
    device->Cede(cpu, last);
    (void)device->Kick(cpu);
  }
};
struct Futex {
  static constexpr bool kKsched = false;
  static constexpr const char* kName = "futex";
  FutexBackend backend{{.core_cpus = {0, 1, 2}, .loop_cpu = 0, .thread_pidfds = true}};
  void Enrol(int k, Thread& thread) {
    const EnrolledThread enrolled{thread.tid, &thread.generation};
    backend.Enrol(static_cast<AppId>(k), getpid(), {&enrolled, 1}, Priority::kLatencyCritical);
  }
  void Wake(int k, Thread& thread, uint16_t cpu) {
    thread.generation++;
    backend.Wake(static_cast<AppId>(k), 0, cpu);
  }
  void Interrupt(int k, uint16_t) { backend.Interrupt(static_cast<AppId>(k), 0); }
};

// Two threads and the paths between them, one after the other, again and again.
template <class Way>
class Bench {
 public:
  Bench() {
    way_.Enrol(0, first_);
    way_.Enrol(1, second_);
    Run(first_, 1);
  }
  ~Bench() {
    for (Thread* thread : {&first_, &second_}) {
      Asleep(*thread);
      thread->stop = true;
      Run(*thread, 1);
      Halt();  // it has gone, and with it its core
    }
  }

  void Round() {
    {
      const Parameter never("watch_us", 0);
      Wakes();
      Cede();
      Handover();
    }
    const Parameter long_enough("watch_us", 200);  // that is 200 000 instructions
    if constexpr (Way::kKsched) Watched();
    Preempt();
  }

  void Print() {
    for (auto& [path, counts] : counts_) {
      std::sort(counts.begin(), counts.end());
      std::printf("%-7s %-9s %7lu %7lu\n", Way::kName, path, counts.front(), counts[counts.size() / 2]);
    }
  }

 private:
  // Until the CPUs that have nothing to do have halted: our pauses find nothing to run.
  void Halt() {
    if constexpr (Way::kKsched) {
      Until([&] { return !way_.device->Watching(1) && !way_.device->Watching(2); });
    }
    for (int i = 0; i < 2000; ++i) _mm_pause();
  }
  static void Parked(const Thread& thread) {
    Until([&] { return thread.parked == thread.generation; });
  }
  void Asleep(const Thread& thread) {
    Parked(thread);
    Halt();
  }
  void Count(const char* path, uint64_t instructions) {
    const auto same = [&](const auto& entry) { return std::strcmp(entry.first, path) == 0; };
    auto entry = std::find_if(counts_.begin(), counts_.end(), same);
    if (entry == counts_.end()) entry = counts_.insert(entry, {path, {}});
    entry->second.push_back(instructions);
  }

  struct Instructions {
    uint64_t all, call;
  };
  // From before the call to the thread's first instruction, and to the call's return.
  Instructions Run(Thread& thread, uint16_t cpu) {
    const uint32_t runs = thread.runs;
    const uint64_t start = abi::ReadTsc();
    way_.Wake(&thread == &second_, thread, cpu);
    const uint64_t back = abi::ReadTsc();
    Until([&] { return thread.runs != runs; });
    return {thread.began - start, back - start};
  }

  void Wakes() {
    Asleep(first_);
    const Instructions wake = Run(first_, 1);
    Count("wake", wake.all);
    Count("(caller)", wake.call);
    Asleep(first_);
    Count("move", Run(first_, 2).all);
    Asleep(first_);
    Run(first_, 1);
    Asleep(first_);
  }

  void Watched() {
    Run(first_, 1);
    Until([&] { return way_.device->Watching(1); });
    Count("watched", Run(first_, 1).all);
    Until([&] { return way_.device->Watching(1); });
    Count("(other)", Run(second_, 1).all);
    Asleep(second_);
  }

  // Interrupts the first; from before that call until it has parked.
  uint64_t Take() {
    first_.release = false;
    Run(first_, 1);
    const uint64_t start = abi::ReadTsc();
    way_.Interrupt(0, 1);
    Parked(first_);
    const uint64_t end = abi::ReadTsc();
    first_.release = true;
    return end - start;
  }

  void Cede() {
    Count("cede", Take());
    Asleep(first_);
  }

  void Preempt() {
    const uint64_t taken = Take();
    Count("preempt", taken + Run(second_, 1).all);
    Asleep(second_);
  }

  // ksched has the next grant waiting; by futex the park must be seen first.
  void Handover() {
    first_.release = false;
    Run(first_, 1);
    const uint32_t runs = second_.runs;
    if (Way::kKsched) way_.Wake(1, second_, 1);
    first_.release = true;
    Parked(first_);
    const uint64_t parks_at = first_.parks_at;
    if (!Way::kKsched) way_.Wake(1, second_, 1);
    Until([&] { return second_.runs != runs; });
    Count("handover", second_.began - parks_at);
    Asleep(second_);
  }

  Way way_;
  Thread first_{Way::kKsched}, second_{Way::kKsched};
  std::vector<std::pair<const char*, std::vector<uint64_t>>> counts_;
};

template <class Way>
void Measure() {
  Bench<Way> bench;
  for (int round = 0; round < kRounds; ++round) bench.Round();
  bench.Print();
}

// The guest has started with one CPU. The kernel spins without a pause while another one comes up, and qemu then runs
// nobody else, unless somebody who pauses gets his turn.
void BringUpCpus() {
  std::atomic<bool> up{false};
  std::thread pauses([&] { Until([&] { return up.load(); }); });
  for (const char* cpu : {"cpu1", "cpu2"})
    std::ofstream("/sys/devices/system/cpu/" + std::string(cpu) + "/online") << 1;
  up = true;
  pauses.join();
}

}  // namespace
}  // namespace sluice::vm

int main() {
  using namespace sluice::vm;
  BringUpCpus();
  RunOn(0);
  std::printf("%-7s %-9s %7s %7s\n", "grants", "path", "least", "median");
  Measure<Ksched>();
  Measure<Futex>();
}
