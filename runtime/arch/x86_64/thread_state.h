// thread_state.h - the words of a pthread that are read with one instruction: its kthread, its preemption depth.
//
// A uthread may continue on another pthread after any switch, but a compiler may compute the address of a
// thread_local once and keep it. So these are reached by %fs-relative instructions only, never by an address.
// The symbols are defined in thread_state.cc; the relocation (local exec) needs libruntime inside the executable.
//
// The preemption word counts how often preemption was turned off; its top bit is *clear* while a signal's note
// waits for preemption to come back. So one decrement that ends at zero says both: on again, and something to do.
#pragma once

#include <cstdint>

namespace sluice::sched {
class Kthread;
}

namespace sluice::arch {

inline constexpr uint32_t kNoCedePending = 1u << 31;

// The kthread that runs the caller; null on a plain pthread. Stays true only while preemption is off.
inline sched::Kthread* CurrentKthread() {
  sched::Kthread* kthread;
  asm volatile("movq %%fs:sluice_current_kthread@tpoff, %0" : "=r"(kthread));
  return kthread;
}
inline void SetCurrentKthread(sched::Kthread* kthread) {
  asm volatile("movq %0, %%fs:sluice_current_kthread@tpoff" : : "r"(kthread) : "memory");
}

inline uint32_t PreemptWord() {
  uint32_t word;
  asm volatile("movl %%fs:sluice_preempt_word@tpoff, %0" : "=r"(word));
  return word;
}
inline void SetPreemptWord(uint32_t word) {
  asm volatile("movl %0, %%fs:sluice_preempt_word@tpoff" : : "r"(word) : "memory");
}
inline void IncrementPreemptWord() { asm volatile("incl %%fs:sluice_preempt_word@tpoff" : : : "memory", "cc"); }
// True if the word is zero now.
[[nodiscard]] inline bool DecrementPreemptWord() {
  bool zero;
  asm volatile("decl %%fs:sluice_preempt_word@tpoff" : "=@ccz"(zero) : : "memory");
  return zero;
}

}  // namespace sluice::arch
