// sluicectl_test.cc - what sluicectl shows: tables, findings with their mending command, a daemon that is not there.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "apps/sluicectl/doctor.h"
#include "apps/sluicectl/query.h"
#include "apps/sluicectl/tables.h"

namespace sluice::ctl {
namespace {

using testing::HasSubstr;

// Exit status of `sluicectl ARGUMENTS` where no daemon is, and all that it says.
std::pair<int, std::string> Sluicectl(const std::string& arguments) {
  FILE* pipe = popen((std::string(SLUICECTL) + " --run-dir /nonexistent " + arguments + " 2>&1").c_str(), "r");
  std::string said;
  char buffer[4096];
  for (size_t n; (n = fread(buffer, 1, sizeof buffer, pipe)) > 0;) said.append(buffer, n);
  const int status = pclose(pipe);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, said};
}

TEST(SluicectlTest, WrongUsageIsToldFromADaemonThatIsNotThere) {
  for (const auto& [arguments, named] : {std::pair{"", "subcommand"},
                                         {"bogus", "bogus"},
                                         {"explain foo 10.0.0.2:80/udp", "foo"},
                                         {"explain 10.0.0.9:4242 bar", "bar"},
                                         {"flow add 1.2.3.4:99999 10.0.0.2:80/udp", "1.2.3.4:99999"},
                                         {"flow add 1.2.3.4:9 10.0.0.2:80/udp --home 65535", "65535"},
                                         {"flow del 1.2.3.4:9 10.0.0.2:80", "10.0.0.2:80"},
                                         {"flow list a-name-that-is-longer-than-a-name-of-an-app-can-be", "that long"},
                                         {"record start /dev/null --limit abc", "abc"},
                                         {"record start /dev/null --limit ''", "--limit"}}) {
    const auto [status, said] = Sluicectl(arguments);
    EXPECT_EQ(status, 2) << arguments;
    EXPECT_THAT(said, HasSubstr(named)) << arguments;
  }
  for (const char* arguments : {"stat", "explain 10.0.0.9:4242 10.0.0.2:80/udp", "flow list fixed"}) {
    EXPECT_EQ(Sluicectl(arguments).first, 1) << arguments;
  }
}

TEST(SluicectlTest, UnknownFlagsArePrintedAsTheyWereTyped) {
  EXPECT_THAT(Sluicectl("stat --bogus 1 --more").second, HasSubstr("--bogus 1 --more"));
}

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
