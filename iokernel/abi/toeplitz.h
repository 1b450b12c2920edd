// toeplitz.h - the Toeplitz hash of an IPv4 flow, as NICs compute it for receive-side scaling.
//
// The hash is linear: the hash of an input is the XOR, over its set bits, of the 32 key bits that start at the
// bit's position. So each of the 12 input positions gets a table of 256 words, made once from the key, and a
// hash is twelve loads and XORs. The table takes 12 KiB: make one per process and share it.
//
// Source: Microsoft's RSS specification ("RSS hashing functions", "Verifying the RSS hash calculation").
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace sluice::abi {

inline constexpr size_t kToeplitzKeyBytes = 40;
using ToeplitzKey = std::array<uint8_t, kToeplitzKeyBytes>;

// The key of the RSS specification's verification suite; NICs take it as their default.
inline constexpr ToeplitzKey kDefaultToeplitzKey = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67,
                                                    0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
                                                    0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30,
                                                    0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

class ToeplitzTable {
 public:
  static constexpr size_t kInputBytes = 12;

  constexpr explicit ToeplitzTable(const ToeplitzKey& key = kDefaultToeplitzKey) {
    for (size_t position = 0; position < kInputBytes; ++position) {
      for (uint32_t value = 0; value < 256; ++value) {
        uint32_t hash = 0;
        for (uint32_t bit = 0; bit < 8; ++bit) {
          if ((value & (0x80u >> bit)) != 0) hash ^= KeyWindow(key, position * 8 + bit);
        }
        words_[position][value] = hash;
      }
    }
  }

  // The 4-tuple, for UDP and TCP. Addresses and ports in host order.
  [[nodiscard]] uint32_t Hash(uint32_t source, uint32_t destination, uint16_t source_port,
                              uint16_t destination_port) const {
    const uint32_t ports = uint32_t{source_port} << 16 | destination_port;
    return Word(0, source) ^ Word(4, destination) ^ Word(8, ports);
  }

  // The 2-tuple, for every other protocol.
  [[nodiscard]] uint32_t Hash(uint32_t source, uint32_t destination) const {
    return Word(0, source) ^ Word(4, destination);
  }

 private:
  // 32 bits of the key from bit `first` on.
  static constexpr uint32_t KeyWindow(const ToeplitzKey& key, size_t first) {
    uint64_t window = 0;
    for (size_t i = 0; i < 5; ++i) window = window << 8 | key[first / 8 + i];
    return static_cast<uint32_t>(window >> (8 - first % 8));
  }

  [[nodiscard]] uint32_t Word(size_t position, uint32_t value) const {
    return words_[position][value >> 24] ^ words_[position + 1][value >> 16 & 0xff] ^
           words_[position + 2][value >> 8 & 0xff] ^ words_[position + 3][value & 0xff];
  }

  std::array<std::array<uint32_t, 256>, kInputBytes> words_{};
};

}  // namespace sluice::abi
