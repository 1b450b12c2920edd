// checksum_test.cc - the internet checksum against the definition of RFC 1071, word by word.
#include "iokernel/abi/checksum.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace sluice::abi {
namespace {

using Bytes = std::vector<std::byte>;

// RFC 1071, section 1: 16-bit words, ones' complement sum, complement; nothing clever.
uint16_t NaiveChecksum(std::span<const std::byte> bytes) {
  uint32_t sum = 0;
  for (size_t i = 0; i < bytes.size(); i += 2) {
    const uint32_t high = LoadByte(&bytes[i]);
    const uint32_t low = i + 1 < bytes.size() ? LoadByte(&bytes[i + 1]) : 0;
    sum += high << 8 | low;
    if (sum > 0xffff) sum -= 0xffff;
  }
  return static_cast<uint16_t>(~sum);
}

Bytes RandomBytes(std::mt19937_64& random, size_t size) {
  Bytes bytes(size);
  for (std::byte& b : bytes) b = static_cast<std::byte>(random());
  return bytes;
}

TEST(Checksum, Rfc1071Example) {
  // RFC 1071, section 3: these eight bytes sum to ddf2.
  const uint8_t raw[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
  EXPECT_EQ(Checksum(std::as_bytes(std::span(raw))), static_cast<uint16_t>(~0xddf2));
}

TEST(Checksum, OfNothingIsAllOnes) { EXPECT_EQ(Checksum({}), 0xffff); }

TEST(Checksum, AgreesWithTheDefinitionAtEveryLengthAndAlignment) {
  std::mt19937_64 random(1);
  for (size_t size = 0; size < 700; ++size) {
    const size_t offset = random() % 64;
    const Bytes bytes = RandomBytes(random, size + offset);
    const std::span<const std::byte> part = std::span(bytes).subspan(offset);
    ASSERT_EQ(Checksum(part), NaiveChecksum(part)) << size << " bytes at offset " << offset;
  }
}

TEST(Checksum, CarriesAreNotLost) {
  for (const size_t size : {127u, 128u, 1500u, 9000u, 65535u}) {
    const Bytes ones(size, std::byte{0xff});
    ASSERT_EQ(Checksum(ones), NaiveChecksum(ones)) << size;
    std::mt19937_64 random(size);
    Bytes mixed = RandomBytes(random, size);
    for (std::byte& b : mixed) b |= std::byte{0xf0};
    ASSERT_EQ(Checksum(mixed), NaiveChecksum(mixed)) << size;
  }
}

TEST(Checksum, PiecesAddUp) {
  std::mt19937_64 random(2);
  for (int i = 0; i < 500; ++i) {
    const Bytes bytes = RandomBytes(random, 2 + random() % 2000);
    const size_t cut = random() % (bytes.size() / 2) * 2;
    const auto whole = std::span<const std::byte>(bytes);
    ASSERT_EQ(ChecksumFold(ChecksumAdd(ChecksumAdd(0, whole.first(cut)), whole.subspan(cut))), NaiveChecksum(whole));
  }
}

TEST(Checksum, PseudoHeaderIsTheTwelveBytesOfTheRfc) {
  std::mt19937_64 random(3);
  for (int i = 0; i < 500; ++i) {
    const auto source = static_cast<uint32_t>(random());
    const auto destination = static_cast<uint32_t>(random());
    const auto protocol = static_cast<uint8_t>(random());
    const Bytes segment = RandomBytes(random, random() % 1500);
    Bytes pseudo(12);
    StoreBe32(&pseudo[0], source);
    StoreBe32(&pseudo[4], destination);
    StoreByte(&pseudo[9], protocol);
    StoreBe16(&pseudo[10], static_cast<uint16_t>(segment.size()));
    pseudo.insert(pseudo.end(), segment.begin(), segment.end());
    ASSERT_EQ(ChecksumTransport(source, destination, protocol, segment), NaiveChecksum(pseudo));
  }
}

TEST(Checksum, FilledInItSumsToZero) {
  std::mt19937_64 random(4);
  for (int i = 0; i < 200; ++i) {
    Bytes bytes = RandomBytes(random, 20 + random() % 100);
    StoreBe16(&bytes[10], 0);
    StoreBe16(&bytes[10], Checksum(bytes));
    ASSERT_EQ(Checksum(bytes), 0);
    bytes[random() % bytes.size()] ^= std::byte{0x10};
    ASSERT_NE(Checksum(bytes), 0);
  }
}

}  // namespace
}  // namespace sluice::abi
