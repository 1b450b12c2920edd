// count.cc - how many instructions a grant takes, by ksched and by futex. For a guest of `scripts/vm.sh run --icount`,
// where the time stamp counter advances by one with each instruction of any CPU, and a CPU that pauses makes way for
// the next. Prints the least and the median of each path.
//
//   wake      a parked thread on an idle CPU: from before the IOKernel's call to the thread's first instruction
//   (caller)  of these, until the IOKernel's call has returned
//   watched   the same as wake for the thread that just parked, whose core still watches its request line
//   (other)   and for another thread on that core
//   move      the same for a thread that ran on another CPU before
//   cede      from before the IOKernel's call until it sees that the core is free, a signal handler between
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
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <thread>
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

void Print(const char* name, const char* path, std::vector<uint64_t> counts) {
  std::sort(counts.begin(), counts.end());
  std::printf("%-7s %-9s %7lu %7lu\n", name, path, counts.front(), counts[counts.size() / 2]);
}

template <class Way>
void Measure() {
  Way way;
  std::optional<WatchTime> watch(0);
  std::vector<uint64_t> wake, caller, watched, other, move, cede, handover;
  {
    Thread first(Way::kKsched), second(Way::kKsched);
    way.Enrol(0, first);
    way.Enrol(1, second);
    const auto parked = [](Thread& thread) {
      Until([&] { return thread.parked == thread.generation; });
      // Asleep, not on its way: the CPU has halted, so our pauses find nothing to run.
      for (int i = 0; i < 2000; ++i) _mm_pause();
    };
    const auto run = [&](Thread& thread, int k, uint16_t cpu, std::vector<uint64_t>* from,
                         std::vector<uint64_t>* call) {
      const uint32_t runs = thread.runs;
      const uint64_t start = abi::ReadTsc();
      way.Wake(k, thread, cpu);
      const uint64_t back = abi::ReadTsc();
      Until([&] { return thread.runs != runs; });
      if (from != nullptr) from->push_back(thread.began - start);
      if (call != nullptr) call->push_back(back - start);
    };
    run(first, 0, 1, nullptr, nullptr);
    for (int round = 0; round < kRounds; ++round) {
      first.release = true;
      parked(first);
      run(first, 0, 1, &wake, &caller);
      parked(first);
      run(first, 0, 2, &move, nullptr);
      parked(first);
      if constexpr (Way::kKsched) {
        watch.reset();
        watch.emplace(1'000'000);
        run(first, 0, 1, nullptr, nullptr);
        Until([&] { return way.device->Watching(1); });
        run(first, 0, 1, &watched, nullptr);
        Until([&] { return way.device->Watching(1); });
        run(second, 1, 1, &other, nullptr);
        watch.reset();
        watch.emplace(0);
        parked(second);
      }
      run(first, 0, 1, nullptr, nullptr);
      parked(first);
      // Ceded while it runs.
      first.release = false;
      run(first, 0, 1, nullptr, nullptr);
      const uint64_t start = abi::ReadTsc();
      way.Interrupt(0, 1);
      Until([&] { return first.parked == first.generation; });
      cede.push_back(abi::ReadTsc() - start);
      parked(first);
      // Handed over: ksched has the next grant waiting; by futex the park must be seen first.
      run(first, 0, 1, nullptr, nullptr);
      const uint32_t runs = second.runs;
      if (Way::kKsched) way.Wake(1, second, 1);
      first.release = true;
      Until([&] { return first.parked == first.generation; });
      const uint64_t parks_at = first.parks_at;
      if (!Way::kKsched) way.Wake(1, second, 1);
      Until([&] { return second.runs != runs; });
      handover.push_back(second.began - parks_at);
      parked(second);
    }
    for (Thread* thread : {&first, &second}) {
      thread->stop = true;
      run(*thread, thread == &second, 1, nullptr, nullptr);
      Until([&] { return thread->runs != 0; });
      if (thread == &first) {
        // It has gone, and with it its core.
        for (int i = 0; i < 2000; ++i) _mm_pause();
      }
    }
  }
  Print(Way::kName, "wake", wake);
  Print(Way::kName, "(caller)", caller);
  if constexpr (Way::kKsched) {
    Print(Way::kName, "watched", watched);
    Print(Way::kName, "(other)", other);
  }
  Print(Way::kName, "move", move);
  Print(Way::kName, "cede", cede);
  Print(Way::kName, "handover", handover);
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
