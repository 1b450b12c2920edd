// The command line: what a script may rely on.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <utility>

namespace {

using Json = nlohmann::json;

// Exit status and standard output of `simulator ARGUMENTS`.
std::pair<int, std::string> Simulator(const std::string& arguments) {
  FILE* pipe = popen((std::string(SIMULATOR) + ' ' + arguments + " 2>/dev/null").c_str(), "r");
  std::string out;
  char buffer[4096];
  for (size_t n; (n = fread(buffer, 1, sizeof buffer, pipe)) > 0;) out.append(buffer, n);
  const int status = pclose(pipe);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, out};
}

Json Object(const std::string& arguments) {
  const auto [status, out] = Simulator(arguments + " --json -");
  EXPECT_EQ(status, 0) << arguments;
  return Json::parse(out, nullptr, false);
}

TEST(Cli, JsonOnStandardOutputIsOneObjectWithEveryFigure) {
  const Json json = Object("run --cores 4 --service exp:1us --load 0.5 --scheduler c-fcfs --requests 1e5 --seed 1");
  ASSERT_TRUE(json.is_object());
  for (const char* name : {"mean_us",
                           "p50_us",
                           "p90_us",
                           "p95_us",
                           "p99_us",
                           "p999_us",
                           "samples",
                           "mean_wait_us",
                           "mean_wait_ci99_us",
                           "utilization",
                           "cores_used",
                           "efficiency",
                           "grants_per_s",
                           "packets_core_changed",
                           "events_per_s",
                           "cores",
                           "load",
                           "flows",
                           "requests",
                           "seed"}) {
    EXPECT_TRUE(json.contains(name) && json[name].is_number()) << name;
  }
  EXPECT_EQ(json["flows"], 10000);
  EXPECT_EQ(json["steering"], "rss");
  EXPECT_EQ(json["pick"], "memoized");
  EXPECT_EQ(json["congestion"], "standing-queue");
  EXPECT_EQ(json["placement"], "simple");
  EXPECT_EQ(json["arrivals"], "poisson");
}

TEST(Cli, TheSameSeedGivesTheSameBytesButForTheSpeed) {
  for (const std::string arguments : {"run --scheduler steal --requests 5e4",
                                      "run --service exp:10us --steering flow-affinity --requests 5e4 --flows 500"}) {
    Json first = Object(arguments), second = Object(arguments);
    first.erase("events_per_s");
    second.erase("events_per_s");
    EXPECT_EQ(first.dump(), second.dump()) << arguments;
    Json third = Object(arguments + " --seed 2");
    EXPECT_NE(first["mean_us"], third["mean_us"]);
  }
}

TEST(Cli, AScenarioIsReadAndFlagsOverrideIt) {
  const std::string path = ::testing::TempDir() + "sluice-scenario-" + std::to_string(getpid()) + ".toml";
  std::ofstream(path) << "cores = 4\nrequests = 20000\n[[app]]\nname = \"a\"\nservice = \"exp:10us\"\nload = 0.3\n"
                         "[[app]]\nname = \"b\"\npriority = \"best-effort\"\nbatch_threads = 8\n";
  const Json json = Object("run --scenario " + path + " --cores 6");
  EXPECT_EQ(json["cores"], 6);
  EXPECT_EQ(json["requests"], 20000);
  EXPECT_GT(json["batch_units_per_s"], 0);
  EXPECT_EQ(json["apps"].size(), 2u);
  std::ofstream(path) << "cores = 4\nload = 2\n";
  EXPECT_EQ(Simulator("run --scenario " + path).first, 2);
  unlink(path.c_str());
}

TEST(Cli, WhatIsWrongIsBadUsage) {
  for (const char* arguments :
       {"", "run --cores 0", "run --cores 2000", "run --steering nonsense", "run --service 10us", "run --requests 1.5",
        "run --scheduler fifo", "run --profile /nonexistent", "sweep", "sweep --vary load", "sweep --vary load=x"}) {
    EXPECT_EQ(Simulator(arguments).first, 2) << arguments;
  }
}

// A sweep is its list: each line, run alone, gives the row of the sweep.
TEST(Cli, ASweepIsAListOfRuns) {
  const std::string arguments =
      "sweep --service exp:10us --requests 2e4 --vary scheduler=c-fcfs,sluice --vary load=0.2,0.4";
  const auto [status, list] = Simulator(arguments + " --list");
  EXPECT_EQ(status, 0);
  const Json all = Json::parse(Simulator(arguments + " -j 2 --json -").second, nullptr, false);
  ASSERT_EQ(all.size(), 4u);
  size_t at = 0;
  for (const Json& one : all) {
    const size_t end = list.find('\n', at);
    const std::string command = list.substr(at, end - at);
    ASSERT_EQ(command.rfind("simulator ", 0), 0u);
    Json alone = Json::parse(Simulator(command.substr(10)).second, nullptr, false), swept = one;
    alone.erase("events_per_s");
    swept.erase("events_per_s");
    EXPECT_EQ(alone.dump(), swept.dump());
    at = end + 1;
  }
}

// By name, the rest of its line: "66.5", "50.0  # default, not measured". The heading under "#".
std::map<std::string, std::string> Profile(const std::string& text) {
  std::map<std::string, std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    const size_t equals = line.find(" = ");
    if (line.starts_with("#")) {
      lines["#"] += line;
    } else if (equals != std::string::npos) {
      lines[line.substr(0, equals)] = line.substr(equals + 3);
    }
  }
  return lines;
}

// It took both ends of every hand-over for two CPUs while they sat on one: threads inherit their maker's CPU.
TEST(Cli, CalibrateMeasuresBetweenTwoCpusOrSaysThatItHasNot) {
  const std::string kDefault = "default, not measured";
  cpu_set_t allowed, one;
  ASSERT_EQ(sched_getaffinity(0, sizeof allowed, &allowed), 0);
  CPU_ZERO(&one);
  for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++cpu) {
    if (CPU_ISSET(cpu, &allowed)) CPU_SET(cpu, &one);
  }
  for (const cpu_set_t& cpus : {allowed, one}) {
    ASSERT_EQ(sched_setaffinity(0, sizeof cpus, &cpus), 0);
    const auto [status, text] = Simulator("calibrate");
    ASSERT_EQ(sched_setaffinity(0, sizeof allowed, &allowed), 0);
    ASSERT_EQ(status, 0);
    auto profile = Profile(text);
    const bool two = CPU_COUNT(&cpus) > 1;
    EXPECT_EQ(profile["#"].find("to CPU") != std::string::npos, two) << profile["#"];
    for (const char* name : {"grant_ns", "signal_ns", "ring_hop_ns", "wake_ns", "preempt_ns", "steal_ns", "slice_ns",
                             "cold_core_ns", "cold_flow_ns"}) {
      EXPECT_EQ(profile[name].find(kDefault) == std::string::npos, two) << name << " = " << profile[name];
    }
    for (const char* name : {"steer_ns", "reply_ns", "softirq_ns", "start_ns"}) {
      EXPECT_NE(profile[name].find(kDefault), std::string::npos) << name << " = " << profile[name];
    }
    const std::string path = ::testing::TempDir() + "sluice-profile-" + std::to_string(getpid()) + ".toml";
    std::ofstream(path) << text;
    EXPECT_EQ(Simulator("run --requests 1e3 --profile " + path).first, 0);
    unlink(path.c_str());
  }
}

TEST(Cli, ATimelineIsATrace) {
  const std::string path = ::testing::TempDir() + "sluice-timeline-" + std::to_string(getpid()) + ".json";
  EXPECT_EQ(Simulator("run --cores 4 --service exp:10us --load 0.3 --requests 1e4 --timeline " + path).first, 0);
  const Json trace = Json::parse(std::ifstream(path), nullptr, false);
  unlink(path.c_str());
  ASSERT_TRUE(trace.is_object());
  EXPECT_GT(trace["traceEvents"].size(), 10u);
}

}  // namespace
