// units_test.cc - the small notations of the config.
#include "iokernel/control/units.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(UnitsTest, Ipv4IsStrict) {
  EXPECT_EQ(ParseIpv4("10.0.0.1"), 0x0a000001u);
  EXPECT_EQ(ParseIpv4("255.255.255.255"), 0xffffffffu);
  for (const char* bad : {"", "10", "10.0.0", "10.0.0.0.1", "10.0.0.256", "10.0.0.01", "10.0.0.1 ", " 10.0.0.1",
                          "10..0.1", "10.0.0.-1", "10.0.0.0x1", "a.b.c.d", "10.0.0.1/24", "10.0.0.1111"}) {
    EXPECT_EQ(ParseIpv4(bad), std::nullopt) << bad;
  }
  EXPECT_EQ(FormatIpv4(0x0a000001u), "10.0.0.1");
}

TEST(UnitsTest, NetworksKeepTheirHostBits) {
  const auto net = ParseIpv4Net("10.1.2.3/10");
  ASSERT_TRUE(net.has_value());
  EXPECT_EQ(FormatIpv4Net(*net), "10.1.2.3/10");
  for (const char* bad : {"10.0.0.1", "10.0.0.1/", "10.0.0.1/33", "/24", "10.0.0.1/2 4", "10.0.0.1/-1"}) {
    EXPECT_EQ(ParseIpv4Net(bad), std::nullopt) << bad;
  }
}

TEST(UnitsTest, CpuItems) {
  const auto several = ParseCpuItem("2-5*3");
  ASSERT_TRUE(several.has_value());
  EXPECT_EQ(several->first, 2);
  EXPECT_EQ(several->last, 5);
  EXPECT_EQ(several->slots, 3);
  for (const char* bad : {"", "-", "5-2", "1*0", "1*", "*4", "1*2*3", "1-2-3", "a", "1 ", "70000", "1*5000"}) {
    EXPECT_FALSE(ParseCpuItem(bad).has_value()) << bad;
  }
}

TEST(UnitsTest, CpuListsAreShort) {
  const std::vector<uint16_t> cpus = {0, 1, 2, 5, 7, 8};
  EXPECT_EQ(FormatCpuList(cpus), "0-2, 5, 7-8");
  const std::vector<uint16_t> slots = {1, 1, 1, 1, 2, 3, 4, 6, 6, 7, 7};
  EXPECT_THAT(FormatCoreSlots(slots), testing::ElementsAre("1*4", "2-4", "6-7*2"));
}

TEST(UnitsTest, DurationsInMicroseconds) {
  EXPECT_EQ(ParseDurationUs("5us"), 5u);
  EXPECT_EQ(ParseDurationUs("2 ms"), 2000u);
  EXPECT_EQ(ParseDurationUs("1s"), 1'000'000u);
  EXPECT_EQ(ParseDurationUs("5000ns"), 5u);
  EXPECT_EQ(ParseDurationUs("5500ns"), std::nullopt);
  EXPECT_EQ(ParseDurationUs("5"), std::nullopt);
  EXPECT_EQ(ParseDurationUs("us"), std::nullopt);
}

TEST(UnitsTest, NearestForgivesLittle) {
  const std::vector<std::string> names = {"rss", "round-robin", "flow-affinity"};
  EXPECT_EQ(Nearest("rs", names), "rss");
  EXPECT_EQ(Nearest("roundrobin", names), "round-robin");
  EXPECT_EQ(Nearest("Flow_Affinity", names), "flow-affinity");
  EXPECT_EQ(Nearest("flow", names), "flow-affinity");
  EXPECT_EQ(Nearest("zebra", names), "");
  EXPECT_EQ(Nearest("", names), "");
}

}  // namespace
}  // namespace sluice
