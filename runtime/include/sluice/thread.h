// thread.h - uthreads: threads of a few hundred nanoseconds, scheduled by the runtime inside this process.
//
// Called by uthreads, except where a comment says otherwise. A uthread may continue on another pthread after any
// call into sluice: keep no thread_local's address, and no pthread mutex, across one.
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include "sluice/error.h"

namespace sluice {

namespace sched {
struct Uthread;
}

namespace detail {
// A uthread that will call `entry(closure)`, with `bytes` of its stack set aside for the closure; null: no stack.
[[nodiscard]] sched::Uthread* NewUthread(void (*entry)(void*), size_t bytes, size_t alignment, void** closure);
void StartUthread(sched::Uthread* uthread, bool detached);
void JoinUthread(sched::Uthread* uthread);
void DetachUthread(sched::Uthread* uthread);
[[noreturn]] void OutOfUthreads();

inline constexpr size_t kMaxClosure = 4096;

template <class F>
sched::Uthread* SpawnUthread(F&& fn, bool detached) {
  using Closure = std::decay_t<F>;
  static_assert(std::is_invocable_v<Closure>, "a uthread runs a callable without arguments");
  static_assert(sizeof(Closure) <= kMaxClosure, "a closure lives on the uthread's stack: capture a pointer instead");
  const auto entry = [](void* memory) {
    auto* closure = static_cast<Closure*>(memory);
    (*closure)();
    closure->~Closure();
  };
  void* memory;
  sched::Uthread* uthread = NewUthread(entry, sizeof(Closure), alignof(Closure), &memory);
  if (uthread == nullptr) return nullptr;
  new (memory) Closure(std::forward<F>(fn));
  StartUthread(uthread, detached);
  return uthread;
}
}  // namespace detail

// Owns a uthread until it is joined or detached; the destructor joins. An exception that leaves `fn` ends the
// program, as with std::thread.
class Thread {
 public:
  Thread() = default;

  // Runs `fn` in a new uthread. Out of stacks: prints which limit to raise and aborts; see TryMake.
  template <class F>
  requires(!std::is_same_v<std::decay_t<F>, Thread>) explicit Thread(F&& fn)
      : uthread_(detail::SpawnUthread(std::forward<F>(fn), false)) {
    if (uthread_ == nullptr) detail::OutOfUthreads();
  }
  // The same; kSystem when there is no stack.
  template <class F>
  [[nodiscard]] static Expected<Thread> TryMake(F&& fn) {
    sched::Uthread* uthread = detail::SpawnUthread(std::forward<F>(fn), false);
    if (uthread == nullptr) return tl::unexpected(Error::kSystem);
    return Thread(uthread);
  }

  Thread(Thread&& other) noexcept : uthread_(std::exchange(other.uthread_, nullptr)) {}
  Thread& operator=(Thread&& other) noexcept {
    if (this != &other) {
      Join();
      uthread_ = std::exchange(other.uthread_, nullptr);
    }
    return *this;
  }
  ~Thread() { Join(); }

  [[nodiscard]] bool joinable() const { return uthread_ != nullptr; }

  // Waits until `fn` has returned. Of no effect when joined or detached already.
  void Join() {
    if (uthread_ != nullptr) detail::JoinUthread(std::exchange(uthread_, nullptr));
  }
  // Lets it run on its own. Any thread.
  void Detach() {
    if (uthread_ != nullptr) detail::DetachUthread(std::exchange(uthread_, nullptr));
  }

 private:
  explicit Thread(sched::Uthread* uthread) : uthread_(uthread) {}

  sched::Uthread* uthread_ = nullptr;
};

// Runs `fn` in a new uthread that nobody joins. False: there is no stack for it. Any thread of a process that runs
// the runtime; also in softirq context.
template <class F>
[[nodiscard]] bool TrySpawn(F&& fn) {
  return detail::SpawnUthread(std::forward<F>(fn), true) != nullptr;
}

// The same; aborts when out of stacks.
template <class F>
void Spawn(F&& fn) {
  if (!TrySpawn(std::forward<F>(fn))) detail::OutOfUthreads();
}

// Lets the other runnable uthreads of this kthread go first.
void Yield();

}  // namespace sluice
