// test_runtime.h - the runtime on a fake IOKernel, for a test to run uthreads on.
#pragma once

#include <cstdlib>
#include <functional>
#include <future>
#include <utility>

#include "runtime/sched/scheduler.h"
#include "sluice/thread.h"
#include "tests/lib/fake_iokernel.h"

namespace sluice::test {

class Runtime {
 public:
  explicit Runtime(const FakeIoKernelOptions& options = {}, sched::PacketHandler on_packets = nullptr,
                   size_t stack_size = sched::kDefaultStackSize)
      : iokernel_(options) {
    const auto started = sched::Start({.region = iokernel_.view(),
                                       .stack_size = stack_size,
                                       .shared_cpus = options.shared_cpus,
                                       .on_packets = on_packets});
    SLUICE_CHECK(started.has_value(), started.error().c_str());
    iokernel_.Run(sched::ThreadIds());
  }
  ~Runtime() {
    sched::Stop();
    sched::Join();
  }

  [[nodiscard]] FakeIoKernel& iokernel() { return iokernel_; }

  // Runs `fn` in a uthread and waits for it.
  void Run(std::function<void()> fn) {
    std::promise<void> done;
    SLUICE_CHECK(sched::SpawnFromOutside([&] {
                   fn();
                   done.set_value();
                 }),
                 "no stack for a test's main uthread");
    done.get_future().wait();
  }

 private:
  FakeIoKernel iokernel_;
};

// The kthread that runs the caller, just now.
[[gnu::noinline]] inline uint32_t KthreadIndex() {
  const sched::PreemptGuard guard;
  return sched::Current().index();
}

// A step of a uthread that never gives way. It is in malloc much of the time; ThreadSanitizer lets signals through
// there.
[[gnu::noinline]] inline void StayBusy() {
  void* memory = malloc(64);
  asm volatile("" : : "r"(memory) : "memory");
  free(memory);
}

}  // namespace sluice::test
