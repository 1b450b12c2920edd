// stack_overflow.h - a uthread that runs off its stack into the guard dies of SIGSEGV; this says why first.
//
// The handler needs a stack of its own, for the uthread has none left: each kthread has one while it runs. An app that
// handles SIGSEGV itself, and the sanitizers, keep their handler and go without.
#pragma once

#include <cstddef>
#include <memory>

namespace sluice::sched {

// Once the process has no handler for SIGSEGV: installs ours.
void InstallOverflowHandler();

// The calling thread's stack for that handler while this lives. A thread that has one already keeps its own.
class OverflowStack {
 public:
  OverflowStack();
  ~OverflowStack();
  OverflowStack(const OverflowStack&) = delete;
  OverflowStack& operator=(const OverflowStack&) = delete;

 private:
  std::unique_ptr<std::byte[]> memory_;
};

}  // namespace sluice::sched
