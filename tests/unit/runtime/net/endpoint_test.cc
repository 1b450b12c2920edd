// endpoint_test.cc - addresses and endpoints as text; errors as text.
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "sluice/error.h"
#include "sluice/net.h"

namespace sluice {
namespace {

TEST(Endpoint, AddressesComeBackAsTheyWere) {
  for (const char* text : {"0.0.0.0", "10.0.0.2", "255.255.255.255", "192.168.1.100"}) {
    const auto address = ParseAddress(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(AddressToString(*address), text);
  }
  EXPECT_EQ(ParseAddress("10.0.0.2"), 0x0a000002u);
}

TEST(Endpoint, RefusesWhatIsNoAddress) {
  for (const char* text :
       {"", "10", "10.0.0", "10.0.0.2.", "10.0.0.2.1", "10.0.0.256", "10.0.0.-1", "10.0.0.+1", "10.0.0.02", " 10.0.0.2",
        "10.0.0.2 ", "10..0.2", "a.b.c.d", "10.0.0.4294967296", "1.2.3.4x", "0x0a.0.0.2"}) {
    EXPECT_FALSE(ParseAddress(text)) << text;
  }
}

TEST(Endpoint, TheAddressMayBeMissingThePortMayNot) {
  EXPECT_EQ(ParseEndpoint("10.0.0.2:7"), (Endpoint{0x0a000002, 7}));
  EXPECT_EQ(ParseEndpoint(":65535"), (Endpoint{0, 65535}));
  EXPECT_EQ(ParseEndpoint("7"), (Endpoint{0, 7}));
  EXPECT_EQ(ToString(Endpoint{0x0a000002, 7}), "10.0.0.2:7");
  for (const char* text :
       {"", ":", "10.0.0.2", "10.0.0.2:", "10.0.0.2:65536", "10.0.0.2:7:7", "10.0.0:7", ":07", "7 "}) {
    EXPECT_FALSE(ParseEndpoint(text)) << text;
  }
}

TEST(Errors, EachHasAPhraseOfItsOwn) {
  std::set<std::string_view> phrases;
  for (int e = 0; e <= static_cast<int>(Error::kSystem); ++e) phrases.insert(ToString(static_cast<Error>(e)));
  EXPECT_EQ(phrases.size(), static_cast<size_t>(Error::kSystem) + 1);
  EXPECT_FALSE(phrases.contains("unknown error"));
}

}  // namespace
}  // namespace sluice
