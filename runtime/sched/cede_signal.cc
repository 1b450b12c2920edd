#include "runtime/sched/cede_signal.h"

#include <signal.h>

#include <cerrno>

#include "iokernel/abi/cede_signal.h"
#include "iokernel/abi/check.h"
#include "runtime/sched/kthread.h"

namespace sluice::sched {
namespace {

void OnSignal(int, siginfo_t*, void* frame) {
  Kthread* kthread = arch::CurrentKthread();
  if (kthread == nullptr) return;
  const int saved_errno = errno;
  kthread->OnCedeSignal();
  kthread->OnSliceSignal(*static_cast<const ucontext_t*>(frame));
  errno = saved_errno;
}

}  // namespace

void InstallCedeHandler() {
  struct sigaction action {};
  action.sa_sigaction = OnSignal;
  // Not SA_ONSTACK: the handler may sleep under a uthread's frames, so its frame belongs on that uthread's stack,
  // which has room for it. System calls that it interrupts go on.
  action.sa_flags = SA_RESTART | SA_SIGINFO;
  sigfillset(&action.sa_mask);
  SLUICE_CHECK(sigaction(abi::kCedeSignal, &action, nullptr) == 0, "the cede signal's handler cannot be installed");
}

void BlockOtherSignals() {
  sigset_t blocked;
  sigfillset(&blocked);
  for (const int open : {abi::kCedeSignal, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS, SIGPROF}) {
    sigdelset(&blocked, open);
  }
  SLUICE_CHECK(pthread_sigmask(SIG_SETMASK, &blocked, nullptr) == 0, "the signal mask cannot be set");
}

}  // namespace sluice::sched
