// check.h - CHECK(condition, "text"): an error of ours, not of the world's. Prints the facts and aborts.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace sluice::abi {

[[noreturn, gnu::cold, gnu::noinline]] inline void CheckFailed(const char* file, int line, const char* condition,
                                                               const char* text) {
  std::fprintf(stderr, "%s:%d: CHECK failed: %s: %s\n", file, line, condition, text);
  std::abort();
}

}  // namespace sluice::abi

// Always on. `text` says what it means that the condition is false.
#define SLUICE_CHECK(condition, text) \
  (__builtin_expect(!(condition), 0) ? ::sluice::abi::CheckFailed(__FILE__, __LINE__, #condition, text) : (void)0)
