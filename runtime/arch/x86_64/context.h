// context.h - the registers of a stack that is not running, and the switch between two of them.
//
// Swap ends in a jump: a `ret` would miss in the return predictor each time (9 ns instead of 2). It is inlined, so
// the compiler saves only what is live; mxcsr's and the x87's control bits are loaded only if they differ. Their
// status bits, like all caller-saved state, are not kept (System V ABI, 3.2.1).
#pragma once

#include <cstddef>
#include <cstdint>

namespace sluice::sched {
class Kthread;
}

namespace sluice::arch {

struct Context {
  void* rsp = nullptr;
  void* rbp = nullptr;
  void* rip = nullptr;
  uint32_t mxcsr = 0x1f80;  // the state in which a process starts
  uint16_t x87_control = 0x37f;
};
static_assert(offsetof(Context, mxcsr) == 24 && offsetof(Context, x87_control) == 28);

// What the side that is switched to must do for the side that has left its stack: put it into a queue, release a
// lock, free it. Travels in registers.
struct Aftermath {
  void (*run)(sched::Kthread& kthread, void* arg) = nullptr;
  void* arg = nullptr;
};

// The first instruction of a new stack (entry.S): calls sluice_uthread_main(run, arg), which never returns.
extern "C" void sluice_uthread_entry();

// A context that starts in sluice_uthread_entry. `top` is 16-byte aligned.
inline void Prepare(Context* context, void* top) {
  *context = Context{};
  context->rsp = top;
  context->rip = reinterpret_cast<void*>(&sluice_uthread_entry);
}

// Leaves `from`, continues `to`. Returns when somebody swaps to `from` again, with what that one brought along.
[[gnu::always_inline]] inline Aftermath Swap(Context* from, const Context* to, Aftermath brought) {
  asm volatile(
      "movq %%rsp, 0(%%rdi)\n\t"
      "movq %%rbp, 8(%%rdi)\n\t"
      "leaq 1f(%%rip), %%rax\n\t"
      "movq %%rax, 16(%%rdi)\n\t"
      "stmxcsr 24(%%rdi)\n\t"
      "fnstcw 28(%%rdi)\n\t"
      "movl 24(%%rdi), %%eax\n\t"
      "xorl 24(%%rsi), %%eax\n\t"
      "testl $0xffc0, %%eax\n\t"  // control bits only
      "jnz 3f\n"
      "2:\n\t"
      "movzwl 28(%%rdi), %%eax\n\t"
      "cmpw %%ax, 28(%%rsi)\n\t"
      "jne 4f\n"
      "5:\n\t"
      "movq 0(%%rsi), %%rsp\n\t"
      "movq 8(%%rsi), %%rbp\n\t"
      "jmpq *16(%%rsi)\n"
      "3:\n\t"
      "ldmxcsr 24(%%rsi)\n\t"
      "jmp 2b\n"
      "4:\n\t"
      "fldcw 28(%%rsi)\n\t"
      "jmp 5b\n"
      "1:\n\t"
      : "+D"(from), "+S"(to), "+d"(brought.run), "+c"(brought.arg)
      :
      : "rax", "rbx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4",
        "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15",
#ifdef __AVX512F__
        "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27",
        "xmm28", "xmm29", "xmm30", "xmm31", "k1", "k2", "k3", "k4", "k5", "k6", "k7",
#endif
        "memory", "cc");
  return brought;
}

}  // namespace sluice::arch
