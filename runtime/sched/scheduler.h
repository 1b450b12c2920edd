// scheduler.h - starts the kthreads of this process on a region, ends them, and what the layers above may call.
//
//   Start -> ThreadIds (told to the IOKernel) -> SpawnFromOutside(main) ... Stop -> Join
//
// A kthread runs only while it holds a grant (iokernel/abi/grant.h). Its loop is in kthread.cc: own run queue;
// now and then, or when that is empty, packets, timers and the inbox; then stealing; then parking.
//
// Contexts in which code of ours runs
//  - uthread: may block; may continue on another kthread after any call into sluice.
//  - softirq: on a kthread's own stack, preemption off: packet handlers, timers. May wake and spawn, never block.
//  - plain pthread: any other thread. May wake and spawn: that goes through the inbox and the kick word.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "iokernel/abi/clock.h"
#include "iokernel/abi/lrpc.h"
#include "runtime/io/region_view.h"
#include "runtime/sched/kthread.h"
#include "runtime/sched/preempt.h"

namespace sluice::sched {

inline constexpr size_t kDefaultStackSize = 64 * 1024;

// Takes a batch from the RX ring of kthread `ring_kthread`, in order; runs in softirq context on `executing`,
// which holds that ring's softirq flag until the call returns.
using PacketHandler = void (*)(Kthread& executing, uint32_t ring_kthread, std::span<const abi::LrpcMessage> messages);

struct SchedulerOptions {
  io::RegionView region;
  size_t stack_size = kDefaultStackSize;  // bytes a uthread may use; the runtime adds what a signal frame needs
  uint32_t max_uthreads = 0;              // alive at a time; 0: as many as the kernel's limits allow
  bool shared_cpus = false;               // never spin before parking (RegionHeader::shared_cpus)
  PacketHandler on_packets = nullptr;     // null: packets are given back unread
};

// ---------------------------------------------------------------------------------------------------
// Plain pthreads only.

// Makes one pthread per kthread, each asleep until its first grant. Error: a sentence with the way out.
// One scheduler per process at a time.
[[nodiscard]] tl::expected<void, std::string> Start(const SchedulerOptions& options);

// The kernel's ids of the kthreads' pthreads, kthread 0 first.
[[nodiscard]] std::vector<pid_t> ThreadIds();

// Runs `fn` in a new uthread. False: there is no stack for it.
[[nodiscard]] bool SpawnFromOutside(std::function<void()> fn);

// The IOKernel has gone: kthreads go on as ordinary threads that sleep when they have nothing to do, and the hooks
// run once. Returns when no kthread waits for a grant any longer. Idempotent.
void IoKernelGone();

// Ends the kthreads, each at its next scheduling point; uthreads that still live never run again, and their stacks
// are freed by Join. Stop may also be called by a uthread, Join only by the thread that called Start.
void Stop();
void Join();

// ---------------------------------------------------------------------------------------------------
// Any kthread. The result of Current() is valid while preemption is off (preempt.h).

// Gives RX buffer `buffer` back to the IOKernel, through the fill ring of the current kthread.
void ReturnBuffer(uint32_t buffer);

// ---------------------------------------------------------------------------------------------------
// Called once, in softirq context, when the IOKernel has gone: wake whoever waits for packets. Hooks are added
// before Start and live for ever.
struct GoneHook {
  void (*run)(void* arg) = nullptr;
  void* arg = nullptr;
  GoneHook* next = nullptr;
};
void AddGoneHook(GoneHook* hook);

// True once IoKernelGone was called since Start.
[[nodiscard]] bool IsIoKernelGone();

// Ticks per second, as the IOKernel measured them.
[[nodiscard]] const abi::TickRate& Rate();

}  // namespace sluice::sched
