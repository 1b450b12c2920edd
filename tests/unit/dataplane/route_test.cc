#include "iokernel/dataplane/route.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

constexpr uint32_t Ip(uint32_t a, uint32_t b, uint32_t c, uint32_t d) { return a << 24 | b << 16 | c << 8 | d; }

const Ipv4Net kAppNet{Ip(10, 0, 0, 2), 24};

LinkOptions Options(std::vector<RouteConfig> routes) {
  LinkOptions options;
  options.address = Ipv4Net{Ip(10, 0, 0, 1), 24};
  options.routes = std::move(routes);
  return options;
}

TEST(RouteTable, AHostOnTheLinkIsItsOwnNextHop) {
  EXPECT_EQ(RouteTable(Options({})).NextHop(Ip(10, 0, 0, 77), kAppNet), Ip(10, 0, 0, 77));
}

TEST(RouteTable, NoRouteIsNoHop) { EXPECT_FALSE(RouteTable(Options({})).NextHop(Ip(8, 8, 8, 8), kAppNet)); }

TEST(RouteTable, TheLongestPrefixWins) {
  const RouteTable routes(Options({{{0, 0}, Ip(10, 0, 0, 254)},
                                   {{Ip(10, 64, 0, 0), 10}, Ip(10, 0, 0, 253)},
                                   {{Ip(10, 64, 7, 0), 24}, Ip(10, 0, 0, 252)}}));
  EXPECT_EQ(routes.NextHop(Ip(10, 64, 7, 9), kAppNet), Ip(10, 0, 0, 252));
  EXPECT_EQ(routes.NextHop(Ip(10, 64, 8, 9), kAppNet), Ip(10, 0, 0, 253));
  EXPECT_EQ(routes.NextHop(Ip(8, 8, 8, 8), kAppNet), Ip(10, 0, 0, 254));
  EXPECT_EQ(routes.NextHop(Ip(10, 0, 0, 9), kAppNet), Ip(10, 0, 0, 9));
}

TEST(RouteTable, ARouteInsideTheLinkIsTaken) {
  const RouteTable routes(Options({{{Ip(10, 0, 0, 128), 25}, Ip(10, 0, 0, 5)}}));
  EXPECT_EQ(routes.NextHop(Ip(10, 0, 0, 200), kAppNet), Ip(10, 0, 0, 5));
  EXPECT_EQ(routes.NextHop(Ip(10, 0, 0, 100), kAppNet), Ip(10, 0, 0, 100));
}

TEST(RouteTable, OfTwoEqualPrefixesTheLinkWins) {
  const RouteTable routes(Options({{{Ip(10, 0, 0, 0), 24}, Ip(10, 0, 0, 5)}}));
  EXPECT_EQ(routes.NextHop(Ip(10, 0, 0, 9), kAppNet), Ip(10, 0, 0, 9));
}

TEST(RouteTable, WithoutAnOwnAddressTheAppsNetworkIsTheLink) {
  LinkOptions options;
  options.routes = {{{0, 0}, Ip(10, 0, 0, 254)}};
  const RouteTable routes(options);
  EXPECT_EQ(routes.NextHop(Ip(10, 0, 0, 9), kAppNet), Ip(10, 0, 0, 9));
  EXPECT_EQ(routes.NextHop(Ip(10, 0, 1, 9), kAppNet), Ip(10, 0, 0, 254));
}

TEST(RouteTable, NetworkAndBroadcastAddressAreNoHosts) {
  EXPECT_TRUE(RouteTable::IsNoHost(Ip(10, 0, 0, 0), kAppNet));
  EXPECT_TRUE(RouteTable::IsNoHost(Ip(10, 0, 0, 255), kAppNet));
  EXPECT_FALSE(RouteTable::IsNoHost(Ip(10, 0, 0, 254), kAppNet));
  EXPECT_FALSE(RouteTable::IsNoHost(Ip(10, 0, 1, 255), kAppNet));
  EXPECT_FALSE(RouteTable::IsNoHost(Ip(10, 0, 0, 1), {Ip(10, 0, 0, 0), 31}));
}

}  // namespace
}  // namespace sluice
