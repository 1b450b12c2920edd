// thread_state.cc - the per-pthread words of thread_state.h.
#include "runtime/arch/x86_64/thread_state.h"

extern "C" {
__attribute__((used, tls_model("local-exec"))) __thread sluice::sched::Kthread* sluice_current_kthread = nullptr;
__attribute__((used, tls_model("local-exec"))) __thread uint32_t sluice_preempt_word = sluice::arch::kNoCedePending;
}
