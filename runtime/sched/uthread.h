// uthread.h - a uthread, and what every stack that can be switched to has (an Execution).
//
// A Uthread lies at the top of its own stack, with its closure below it; both come from the stack pool and go back
// there together.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "runtime/arch/x86_64/context.h"
#include "runtime/sched/fiber.h"

namespace sluice {
class Mutex;
}

namespace sluice::sched {

// libstdc++'s __cxa_eh_globals: the caught exceptions and the number of uncaught ones of a thread.
struct ExceptionState {
  void* caught = nullptr;
  unsigned int uncaught = 0;
};

// What belongs to a stack rather than to the pthread that runs it.
struct Execution {
  arch::Context context;
  ExceptionState exceptions;
  int saved_errno = 0;
  [[no_unique_address]] Fiber fiber;
};

// Uthread::join holds one of these, or the uthread that waits in Join.
enum JoinState : uintptr_t { kJoinable = 0, kDetached = 1, kFinished = 2 };

struct Uthread : Execution {
  Uthread* next = nullptr;        // in a free list, an overflow list or the inbox
  Uthread* next_batch = nullptr;  // in the stack pool: the next chain
  uint64_t ready_since = 0;       // in an overflow list, or set aside: ticks when it became runnable
  std::atomic<uintptr_t> join{kJoinable};
  Mutex* relocks = nullptr;  // it waits for a condition and locks this before it goes on
  void (*entry)(void*) = nullptr;
  void* closure = nullptr;
  std::byte* stack_bottom = nullptr;  // above the guard
  int initializing = 0;               // static variables that it is about to initialize: not to be set aside
};

}  // namespace sluice::sched
