// checksum.h - the internet checksum (RFC 1071), plain and with the pseudo-header of UDP and TCP.
//
// A ChecksumSum is a ones' complement sum in the byte order of the machine: RFC 1071, section 2 (B) shows that
// the sum may be formed in either order as long as the result is stored as it was loaded. ChecksumFold turns
// it into the 16 bits as a header field holds them, *in host order* (store them with StoreBe16).
//
// Sums of pieces may be added if every piece but the last has an even number of bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "iokernel/abi/byte_order.h"

#ifdef __AVX2__
#include <immintrin.h>
#endif

namespace sluice::abi {

using ChecksumSum = uint64_t;

// The sum of `bytes`; an odd last byte is padded with zero on the right.
inline ChecksumSum ChecksumAdd(ChecksumSum sum, std::span<const std::byte> bytes);

// The sum of the pseudo-header that covers UDP and TCP (RFC 768, RFC 9293 section 3.1). Host order.
inline ChecksumSum ChecksumPseudoHeader(uint32_t source, uint32_t destination, uint8_t protocol, uint16_t length) {
  return ChecksumSum{__builtin_bswap32(source)} + __builtin_bswap32(destination) + (ChecksumSum{protocol} << 8) +
         __builtin_bswap16(length);
}

// The checksum, host order: the complement of the folded sum.
constexpr uint16_t ChecksumFold(ChecksumSum sum) {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return __builtin_bswap16(static_cast<uint16_t>(~sum));
}

// The checksum of a header or message whose checksum field is zero. Over one whose field is filled in it is 0
// exactly when the checksum is right.
inline uint16_t Checksum(std::span<const std::byte> bytes) { return ChecksumFold(ChecksumAdd(0, bytes)); }

// The same with a pseudo-header in front; `segment` is the UDP datagram or TCP segment.
inline uint16_t ChecksumTransport(uint32_t source, uint32_t destination, uint8_t protocol,
                                  std::span<const std::byte> segment) {
  return ChecksumFold(
      ChecksumAdd(ChecksumPseudoHeader(source, destination, protocol, static_cast<uint16_t>(segment.size())), segment));
}

// ---------------------------------------------------------------------------------------------------

// Ones' complement addition: the carry comes back in at the bottom.
inline ChecksumSum ChecksumCombine(ChecksumSum a, ChecksumSum b) {
  ChecksumSum sum;
  const bool carry = __builtin_add_overflow(a, b, &sum);
  return sum + (carry ? 1 : 0);
}

inline ChecksumSum ChecksumAdd(ChecksumSum sum, std::span<const std::byte> bytes) {
  const std::byte* at = bytes.data();
  size_t left = bytes.size();
#ifdef __AVX2__
  // 32-bit words are widened into 64-bit lanes, so that no carry can be lost before 2^32 rounds.
  if (left >= 128) {
    const __m256i zero = _mm256_setzero_si256();
    __m256i low = zero;
    __m256i high = zero;
    for (; left >= 64; at += 64, left -= 64) {
      const __m256i a = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
      const __m256i b = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at + 32));
      low = _mm256_add_epi64(low, _mm256_unpacklo_epi32(a, zero));
      high = _mm256_add_epi64(high, _mm256_unpackhi_epi32(a, zero));
      low = _mm256_add_epi64(low, _mm256_unpacklo_epi32(b, zero));
      high = _mm256_add_epi64(high, _mm256_unpackhi_epi32(b, zero));
    }
    uint64_t lanes[4];
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(lanes), _mm256_add_epi64(low, high));
    for (const uint64_t lane : lanes) sum = ChecksumCombine(sum, lane);
  }
#endif
  for (; left >= 8; at += 8, left -= 8) {
    uint64_t word;
    std::memcpy(&word, at, sizeof(word));
    sum = ChecksumCombine(sum, word);
  }
  if (left >= 4) {
    uint32_t word;
    std::memcpy(&word, at, sizeof(word));
    sum = ChecksumCombine(sum, word);
    at += 4;
    left -= 4;
  }
  if (left >= 2) {
    uint16_t word;
    std::memcpy(&word, at, sizeof(word));
    sum = ChecksumCombine(sum, word);
    at += 2;
    left -= 2;
  }
  if (left == 1) sum = ChecksumCombine(sum, LoadByte(at));
  return sum;
}

}  // namespace sluice::abi
