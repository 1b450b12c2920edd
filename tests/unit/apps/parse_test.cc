// parse_test.cc - values as users type them.
#include "apps/lib/parse.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::apps {
namespace {

using ::testing::HasSubstr;

TEST(Parse, DurationsNeedAUnit) {
  EXPECT_EQ(ParseDurationNs("10us"), 10'000u);
  EXPECT_EQ(ParseDurationNs("0.5us"), 500u);
  EXPECT_EQ(ParseDurationNs("2.5ms"), 2'500'000u);
  EXPECT_EQ(ParseDurationNs("1s"), 1'000'000'000u);
  EXPECT_EQ(ParseDurationNs("0"), 0u);
  for (const char* wrong : {"10", "us", "", "-1us", "10 us", "10usec", "1e400s", "nan", "3601s"}) {
    EXPECT_FALSE(ParseDurationNs(wrong)) << wrong;
  }
  EXPECT_THAT(ParseDurationNs("10").error(), HasSubstr("10us"));
}

TEST(Parse, Endpoints) {
  EXPECT_EQ(ParseEndpoint("10.0.0.2:7000"), (Endpoint{0x0a000002, 7000}));
  EXPECT_EQ(ToString(Endpoint{0x0a000002, 7000}), "10.0.0.2:7000");
  for (const char* wrong :
       {"10.0.0.2", "10.0.0.2:", "10.0.0.2:0", "10.0.0.2:65536", "10.0.0:1", "a:1", "10.0.0.2:7x"}) {
    EXPECT_FALSE(ParseEndpoint(wrong)) << wrong;
  }
}

TEST(Parse, Networks) {
  const auto network = ParseNetwork("10.64.0.0/10");
  ASSERT_TRUE(network);
  EXPECT_EQ(network->address, 0x0a400000u);
  EXPECT_EQ(network->hosts(), (1u << 22) - 2);
  for (const char* wrong : {"10.64.0.0", "10.64.0.1/10", "10.64.0.0/0", "10.64.0.0/33", "10.64.0.0/x"}) {
    EXPECT_FALSE(ParseNetwork(wrong)) << wrong;
  }
}

}  // namespace
}  // namespace sluice::apps
