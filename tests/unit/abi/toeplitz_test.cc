// toeplitz_test.cc - the table against the published verification suite, and against the definition.
#include "iokernel/abi/toeplitz.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>

#include "iokernel/abi/byte_order.h"

namespace sluice::abi {
namespace {

constexpr uint32_t Ip(uint32_t a, uint32_t b, uint32_t c, uint32_t d) { return a << 24 | b << 16 | c << 8 | d; }

// The definition: for each set bit of the input, left to right, XOR the 32 leftmost bits of the key, which is
// shifted left by one for each bit.
uint32_t NaiveToeplitz(ToeplitzKey key, const uint8_t* input, size_t size) {
  uint32_t hash = 0;
  for (size_t bit = 0; bit < size * 8; ++bit) {
    if ((input[bit / 8] & 0x80 >> bit % 8) != 0) {
      hash ^= LoadBe32(reinterpret_cast<const std::byte*>(key.data()));
    }
    for (size_t i = 0; i < key.size(); ++i) {
      key[i] = static_cast<uint8_t>(key[i] << 1 | (i + 1 < key.size() ? key[i + 1] >> 7 : 0));
    }
  }
  return hash;
}

struct Vector {
  uint32_t destination, source;
  uint16_t destination_port, source_port;
  uint32_t of_addresses, of_all;
};

// "Verifying the RSS hash calculation", table for IPv4.
constexpr Vector kPublished[] = {
    {Ip(161, 142, 100, 80), Ip(66, 9, 149, 187), 1766, 2794, 0x323e8fc2, 0x51ccc178},
    {Ip(65, 69, 140, 83), Ip(199, 92, 111, 2), 4739, 14230, 0xd718262a, 0xc626b0ea},
    {Ip(12, 22, 207, 184), Ip(24, 19, 198, 95), 38024, 12898, 0xd2d0a5de, 0x5c2b394a},
    {Ip(209, 142, 163, 6), Ip(38, 27, 205, 30), 2217, 48228, 0x82989176, 0xafc7327f},
    {Ip(202, 188, 127, 2), Ip(153, 39, 163, 191), 1303, 44251, 0x5d1809c5, 0x10e828a2},
};

TEST(Toeplitz, PublishedVectors) {
  const auto table = std::make_unique<ToeplitzTable>();
  for (const Vector& v : kPublished) {
    EXPECT_EQ(table->Hash(v.source, v.destination), v.of_addresses);
    EXPECT_EQ(table->Hash(v.source, v.destination, v.source_port, v.destination_port), v.of_all);
  }
}

TEST(Toeplitz, TableAgreesWithTheDefinitionForAnyKey) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 20; ++round) {
    ToeplitzKey key;
    for (uint8_t& b : key) b = static_cast<uint8_t>(random());
    const auto table = std::make_unique<ToeplitzTable>(key);
    for (int i = 0; i < 50; ++i) {
      std::byte input[12];
      for (std::byte& b : input) b = static_cast<std::byte>(random());
      const auto* raw = reinterpret_cast<const uint8_t*>(input);
      const uint32_t source = LoadBe32(input);
      const uint32_t destination = LoadBe32(input + 4);
      ASSERT_EQ(table->Hash(source, destination), NaiveToeplitz(key, raw, 8));
      ASSERT_EQ(table->Hash(source, destination, LoadBe16(input + 8), LoadBe16(input + 10)),
                NaiveToeplitz(key, raw, 12));
    }
  }
}

TEST(Toeplitz, TableCanBeMadeAtCompileTime) {
  static constexpr ToeplitzTable kTable;
  EXPECT_EQ(kTable.Hash(kPublished[0].source, kPublished[0].destination), kPublished[0].of_addresses);
}

}  // namespace
}  // namespace sluice::abi
