// icmp_test.cc - the bytes of "destination unreachable", and how many of them there may be.
#include "runtime/net/icmp.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "runtime/net/rate_limit.h"

namespace sluice::net {
namespace {

std::vector<std::byte> Bytes(size_t count) {
  std::vector<std::byte> bytes(count);
  for (size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::byte>(i * 7 + 1);
  return bytes;
}

TEST(Unreachable, QuotesTheWholeOfASmallPacket) {
  const auto quoted = Bytes(29);
  std::vector<std::byte> out(UnreachableBytes(quoted));
  ASSERT_EQ(out.size(), 20u + 8 + 29);
  ASSERT_EQ(WriteUnreachable(out.data(), 0x0a000002, 0x0a000001, 77, UnreachableCode::kPort, quoted), out.size());
  const auto ip = abi::ParseIpv4(out);
  ASSERT_TRUE(ip);
  EXPECT_TRUE(abi::Ipv4ChecksumGood(*ip));
  EXPECT_EQ(ip->source(), 0x0a000002u);
  EXPECT_EQ(ip->destination(), 0x0a000001u);
  EXPECT_EQ(ip->id(), 77);
  EXPECT_EQ(ip->ttl(), 64);
  EXPECT_TRUE(ip->dont_fragment());
  EXPECT_EQ(ip->protocol(), abi::kProtocolIcmp);
  const auto icmp = ip->payload();
  EXPECT_EQ(abi::Checksum(icmp), 0);
  EXPECT_EQ(icmp[0], std::byte{3});
  EXPECT_EQ(icmp[1], std::byte{3});
  EXPECT_EQ(abi::LoadBe32(icmp.data() + 4), 0u);
  EXPECT_TRUE(std::equal(quoted.begin(), quoted.end(), icmp.begin() + 8));
}

TEST(Unreachable, NeverExceeds576Bytes) {
  const auto quoted = Bytes(1500);
  std::vector<std::byte> out(UnreachableBytes(quoted));
  ASSERT_EQ(out.size(), 576u);
  WriteUnreachable(out.data(), 1, 2, 0, UnreachableCode::kProtocol, quoted);
  EXPECT_EQ(out[21], std::byte{2});
  EXPECT_EQ(abi::Checksum(abi::ParseIpv4(out)->payload()), 0);
  EXPECT_EQ(out.back(), quoted[547]);
}

TEST(RateLimit, AllowsABurstThenOnePerInterval) {
  RateLimit limit;
  limit = RateLimit(100, 3);
  constexpr abi::Ticks kStart = 1'000'000;
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(limit.Take(kStart));
  EXPECT_FALSE(limit.Take(kStart));
  EXPECT_FALSE(limit.Take(kStart + 99));
  EXPECT_TRUE(limit.Take(kStart + 100));
  EXPECT_FALSE(limit.Take(kStart + 199));
  EXPECT_TRUE(limit.Take(kStart + 200));
  // Full again after a rest, and no fuller than full.
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(limit.Take(kStart + 100'000));
  EXPECT_FALSE(limit.Take(kStart + 100'000));
}

}  // namespace
}  // namespace sluice::net
