#include "runtime/sched/stack_overflow.h"

#include <signal.h>
#include <unistd.h>

#include "iokernel/abi/check.h"
#include "runtime/sched/scheduler_state.h"
#include "runtime/sched/stack_pool.h"

namespace sluice::sched {
namespace {

constexpr size_t kHandlerFrame = 8192;  // what the handler itself may need

void OnSegv(int signal, siginfo_t* info, void*) {
  static constexpr char kMessage[] =
      "sluice: a uthread has run off its stack. Give uthreads more (RunConfig::stack_size), or let the function have "
      "fewer and smaller locals\n";
  const Kthread* kthread = arch::CurrentKthread();
  if (kthread != nullptr && kthread->running() != nullptr) {
    const auto* at = static_cast<const std::byte*>(info->si_addr);
    const std::byte* bottom = kthread->running()->stack_bottom;
    if (at >= bottom - StackPool::kGuardBytes && at < bottom)
      (void)!write(STDERR_FILENO, kMessage, sizeof(kMessage) - 1);
  }
  // The access is made again and ends the process, with a core where the fault was.
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  sigaction(signal, &action, nullptr);
  if (info->si_code <= 0) raise(signal);  // there was no access: somebody sent it
}

}  // namespace

void InstallOverflowHandler() {
  struct sigaction action {};
  if (sigaction(SIGSEGV, nullptr, &action) != 0 || action.sa_handler != SIG_DFL) return;
  action.sa_sigaction = OnSegv;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  SLUICE_CHECK(sigaction(SIGSEGV, &action, nullptr) == 0, "a handler for SIGSEGV cannot be installed");
}

OverflowStack::OverflowStack() {
  stack_t stack{};
  if (sigaltstack(nullptr, &stack) != 0 || (stack.ss_flags & SS_DISABLE) == 0) return;
  stack.ss_size = SignalFrameBytes() + kHandlerFrame;
  memory_ = std::make_unique<std::byte[]>(stack.ss_size);
  stack.ss_sp = memory_.get();
  stack.ss_flags = 0;
  SLUICE_CHECK(sigaltstack(&stack, nullptr) == 0, "the kernel refuses an alternate signal stack");
}

OverflowStack::~OverflowStack() {
  if (memory_ == nullptr) return;
  stack_t stack{};
  stack.ss_flags = SS_DISABLE;
  sigaltstack(&stack, nullptr);
}

}  // namespace sluice::sched
