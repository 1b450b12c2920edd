// fiber.h - tells AddressSanitizer and ThreadSanitizer about switches between stacks. Without them: nothing.
//
// Each stack has a Fiber. Around a switch: BeforeSwitch(from, to) on the old stack, AfterSwitch(to) on the new one.
#pragma once

#include <pthread.h>

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SLUICE_FIBERS 1
#endif

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#endif

namespace sluice::sched {

#ifdef SLUICE_FIBERS

struct Fiber {
  const void* bottom = nullptr;
  size_t size = 0;
  void* fake_stack = nullptr;  // ASan's, while switched away
  void* handle = nullptr;      // TSan's

  // For a new stack. A stack that is used again keeps its TSan fiber.
  void Create(void* stack, size_t bytes) {
    bottom = stack;
    size = bytes;
#ifdef __SANITIZE_ADDRESS__
    __asan_unpoison_memory_region(stack, bytes);
#endif
#ifdef __SANITIZE_THREAD__
    if (handle == nullptr) handle = __tsan_create_fiber(0);
#endif
  }
  // For the stack that this pthread was born with.
  void AdoptCurrentStack() {
    pthread_attr_t attributes;
    void* stack;
    if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
      pthread_attr_getstack(&attributes, &stack, &size);
      pthread_attr_destroy(&attributes);
      bottom = stack;
    }
#ifdef __SANITIZE_THREAD__
    handle = __tsan_get_current_fiber();
#endif
  }
  void Destroy() {
#ifdef __SANITIZE_THREAD__
    if (handle != nullptr) __tsan_destroy_fiber(handle);
#endif
    handle = nullptr;
  }
};

// `last`: `from` will not run again.
[[gnu::always_inline]] inline void BeforeSwitch([[maybe_unused]] Fiber& from, Fiber& to, [[maybe_unused]] bool last) {
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_start_switch_fiber(last ? nullptr : &from.fake_stack, to.bottom, to.size);
#endif
#ifdef __SANITIZE_THREAD__
  __tsan_switch_to_fiber(to.handle, 0);
#endif
}
[[gnu::always_inline]] inline void AfterSwitch([[maybe_unused]] Fiber& to) {
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(to.fake_stack, nullptr, nullptr);
#endif
}

#else

struct Fiber {
  void Create(void*, size_t) {}
  void AdoptCurrentStack() {}
  void Destroy() {}
};
inline void BeforeSwitch(Fiber&, Fiber&, bool) {}
inline void AfterSwitch(Fiber&) {}

#endif

}  // namespace sluice::sched
