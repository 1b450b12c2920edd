// byte_order.h - big-endian loads and stores at any alignment.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace sluice::abi {

inline uint8_t LoadByte(const std::byte* at) { return static_cast<uint8_t>(*at); }
inline void StoreByte(std::byte* at, uint8_t value) { *at = static_cast<std::byte>(value); }

inline uint16_t LoadBe16(const std::byte* at) {
  uint16_t raw;
  std::memcpy(&raw, at, sizeof(raw));
  return __builtin_bswap16(raw);
}
inline uint32_t LoadBe32(const std::byte* at) {
  uint32_t raw;
  std::memcpy(&raw, at, sizeof(raw));
  return __builtin_bswap32(raw);
}
inline void StoreBe16(std::byte* at, uint16_t value) {
  const uint16_t raw = __builtin_bswap16(value);
  std::memcpy(at, &raw, sizeof(raw));
}
inline void StoreBe32(std::byte* at, uint32_t value) {
  const uint32_t raw = __builtin_bswap32(value);
  std::memcpy(at, &raw, sizeof(raw));
}

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the loads and stores above swap");

}  // namespace sluice::abi
