// sanitized.h - counts for tests that are many times slower under a sanitizer.
#pragma once

#include <cstdint>

namespace sluice::test {

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

constexpr uint32_t Count(uint32_t normally, uint32_t under_a_sanitizer) {
  return kSanitized ? under_a_sanitizer : normally;
}

}  // namespace sluice::test
