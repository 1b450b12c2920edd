// copy.h - the two touches of a packet's bytes: fetching a line for writing, and the copy itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#ifdef __AVX2__
#include <immintrin.h>
#endif

namespace sluice {

// Starts to fetch the line at `at` for writing. The compiler's builtin would fetch it for reading on x86-64-v3, and
// a line that another core has written then moves twice.
inline void PrefetchForWrite(const std::byte* at) { asm volatile("prefetchw %0" : : "m"(*at)); }

// Copies exactly `bytes`: one more would show an app what was in the frame before. bytes >= 16.
inline void CopyPacket(std::byte* to, const std::byte* from, size_t bytes) {
#ifdef __AVX2__
  // Small packets are most of them: a call of memcpy costs as much as the copy.
  const auto copy32 = [to, from](size_t at) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + at),
                        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + at)));
  };
  if (bytes > 256) [[unlikely]] {
    std::memcpy(to, from, bytes);
  } else if (bytes >= 32) {
    // The last 32 bytes may overlap those before.
    for (size_t at = 0; at + 32 < bytes; at += 32) copy32(at);
    copy32(bytes - 32);
  } else {
    std::memcpy(to, from, 16);
    std::memcpy(to + bytes - 16, from + bytes - 16, 16);
  }
#else
  std::memcpy(to, from, bytes);
#endif
}

}  // namespace sluice
