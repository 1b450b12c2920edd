// server_query_test.cc - what sluicectl asks.
#include "apps/sluicectl/query.h"
#include "apps/sluicectl/tables.h"
#include "tests/unit/control/server_fixture.h"

namespace sluice {
namespace {

using abi::AnswerCode;
using testing::HasSubstr;

TEST_F(ServerTest, SluicectlAsksTheSameAndTellsWhyNot) {
  Start();
  Client app = Connected();
  ASSERT_EQ(app.Attach(AttachAs("fixed")).code, AnswerCode::kOk);
  const auto stat = ctl::Ask(dir.path() + "/run", "stat");
  ASSERT_TRUE(stat.has_value()) << stat.error();
  EXPECT_THAT(ctl::StatTable(*stat), HasSubstr("app fixed, 10.0.0.5, " + kMe + ", attached"));
  const auto unknown = ctl::Ask(dir.path() + "/run", "weather");
  ASSERT_FALSE(unknown.has_value());
  EXPECT_EQ(unknown.error(), "iokerneld refuses: iokerneld answers stat, apps, policies and record, not weather");
}

TEST_F(ServerTest, StatTellsOfHostAppsAndKthreadsWithDropsByReason) {
  Start();
  Client app = Connected();
  abi::AttachRequest request = AttachAs("fixed");
  request.priority = 2;
  ASSERT_EQ(app.Attach(request).code, AnswerCode::kOk);
  const auto stat = Ask("stat");
  ASSERT_TRUE(stat.is_object());
  EXPECT_EQ(stat["iokerneld"]["pid"], getpid());
  EXPECT_EQ(stat["iokerneld"]["address"], "10.0.0.1/29");
  EXPECT_EQ(stat["iokerneld"]["cores"]["slots"], 3);
  EXPECT_EQ(stat["grants"]["backend"], "fake");
  for (const std::string_view reason : kLinkDropNames) EXPECT_TRUE(stat["loop"]["drops"].contains(reason)) << reason;
  ASSERT_EQ(stat["apps"].size(), 1u);
  const auto& described = stat["apps"][0];
  EXPECT_EQ(described["name"], "fixed");
  EXPECT_EQ(described["address"], "10.0.0.5");
  EXPECT_EQ(described["pid"], getpid());
  EXPECT_EQ(described["priority"], "best-effort");
  EXPECT_EQ(described["guaranteed"], 1);
  for (const std::string_view reason : kAppDropNames) EXPECT_TRUE(described["drops"].contains(reason)) << reason;
  ASSERT_EQ(described["kthreads"].size(), 1u);
  for (const char* key : {"rx_packets", "tx_packets", "grants", "runtime", "drops"}) {
    EXPECT_TRUE(described["kthreads"][0].contains(key)) << key;
  }
}

TEST_F(ServerTest, LongAnswersComeInPieces) {
  options.fallbacks.assign(1000, "a sentence about something that this machine lacks, and what is done instead");
  Start();
  EXPECT_EQ(Ask("stat")["iokerneld"]["fallbacks"].size(), 1000u);
}

}  // namespace
}  // namespace sluice
