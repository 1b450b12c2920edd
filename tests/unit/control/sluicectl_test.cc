// sluicectl_test.cc - what sluicectl shows: tables, findings with their mending command, a daemon that is not there.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "apps/sluicectl/doctor.h"
#include "apps/sluicectl/query.h"
#include "apps/sluicectl/tables.h"

namespace sluice::ctl {
namespace {

using testing::HasSubstr;

TEST(SluicectlTest, WithoutADaemonTheSocketAndTheWayOutAreNamed) {
  const auto answer = Ask("/nonexistent/run", "stat");
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error(),
            "no iokerneld answers at /nonexistent/run/control (No such file or directory); start one with: iokerneld "
            "--port PORT, or name its run directory with --run-dir or SLUICE_RUN_DIR");
  EXPECT_THAT(Ask(std::string(200, 'x'), "stat").error(), HasSubstr("too long"));
}

TEST(SluicectlTest, TheRunDirectoryIsTheGivenOneElseTheVariableElseTheDefault) {
  unsetenv("SLUICE_RUN_DIR");
  EXPECT_EQ(RunDirectory(""), "/run/sluice");
  setenv("SLUICE_RUN_DIR", "/run/other", 1);
  EXPECT_EQ(RunDirectory(""), "/run/other");
  EXPECT_EQ(RunDirectory("/run/given"), "/run/given");
  unsetenv("SLUICE_RUN_DIR");
}

TEST(SluicectlTest, AppsStandInColumns) {
  EXPECT_EQ(AppsTable(R"({"apps": []})"), "no app is attached\n");
  EXPECT_EQ(AppsTable(R"({"apps": [{"name": "a", "address": "10.0.0.2", "pid": 7, "command": "x", "state": "attached",
      "priority": "best-effort", "guaranteed": 1, "max": 12, "steering": "rss"}]})"),
            "app  address   pid  command  state     priority     guaranteed  max  steering\n"
            "a    10.0.0.2    7  x        attached  best-effort           1   12  rss\n");
}

TEST(SluicectlTest, AnAnswerThatIsNotAsExpectedIsShownAsItCame) {
  for (const char* text : {"", "{", "[]", "7", R"({"apps": 3})", R"({"iokerneld": {}})"}) {
    EXPECT_EQ(StatTable(text), std::string(text) + "\n");
  }
  EXPECT_EQ(Indented("{"), "{\n");
}

TEST(SluicectlTest, FindingsSayHowToMendAndWhetherAnyFails) {
  const std::vector<Finding> findings = {{"a", Verdict::kPass, "good", ""}, {"bcd", Verdict::kFail, "bad", "mend it"}};
  EXPECT_EQ(FindingsTable(findings),
            "pass  a    good\n"
            "FAIL  bcd  bad\n"
            "           mend: mend it\n");
  EXPECT_TRUE(AnyFails(findings));
  EXPECT_FALSE(AnyFails({findings[0]}));
  const auto json = nlohmann::json::parse(FindingsJson(findings));
  EXPECT_EQ(json["ok"], false);
  EXPECT_EQ(json["findings"][1]["verdict"], "fail");
  EXPECT_EQ(json["findings"][1]["mend"], "mend it");
}

TEST(SluicectlTest, TheDoctorLooksAtEverythingAndMendsWhatDoesNotPass) {
  const std::vector<Finding> findings = Examine("af_xdp:nosuchif");
  for (const char* what : {"cpu flags", "invariant tsc", "free cpus", "hugepages", "shmem thp", "user", "limit memlock",
                           "limit nofile", "max_map_count", "af_xdp", "tap", "ksched", "port"}) {
    EXPECT_TRUE(std::any_of(findings.begin(), findings.end(), [&](const Finding& f) { return f.what == what; }))
        << what;
  }
  for (const Finding& finding : findings) {
    EXPECT_FALSE(finding.found.empty()) << finding.what;
    EXPECT_EQ(finding.mend.empty(), finding.verdict == Verdict::kPass) << finding.what;
  }
  EXPECT_TRUE(AnyFails(findings)) << "an interface that is not there";
  EXPECT_EQ(Examine("tapp:x").back().found, "tapp:x is no port that there is");
}

}  // namespace
}  // namespace sluice::ctl
