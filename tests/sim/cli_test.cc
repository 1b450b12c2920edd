// The command line: what a script may rely on.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>
#include <utility>

namespace {

using Json = nlohmann::json;

// Exit status and standard output of a command line.
std::pair<int, std::string> Output(const std::string& command) {
  FILE* pipe = popen(command.c_str(), "r");
  std::string out;
  char buffer[4096];
  for (size_t n; (n = fread(buffer, 1, sizeof buffer, pipe)) > 0;) out.append(buffer, n);
  const int status = pclose(pipe);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, out};
}

std::pair<int, std::string> Simulator(const std::string& arguments) {
  return Output(std::string(SIMULATOR) + ' ' + arguments + " 2>/dev/null");
}

std::string Complaint(const std::string& arguments) {
  return Output(std::string(SIMULATOR) + ' ' + arguments + " 2>&1 >/dev/null").second;
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
  std::ofstream(path) << "[[app]]\nservice = \"exp:1us\"\nload = nan\n";
  EXPECT_EQ(Simulator("run --scenario " + path).first, 2);
  std::ofstream(path) << "[[app]]\nservice = \"exp:1us\"\nload = 0.5\nrate = 1000.0\n";
  EXPECT_EQ(Simulator("run --scenario " + path).first, 2);
  unlink(path.c_str());
}

// The inputs are those of the app that was sent something, and of each app its own.
TEST(Cli, TheInputsOfAScenarioWhoseBatchAppComesFirstAreTheServices) {
  const std::string path = ::testing::TempDir() + "sluice-batch-first-" + std::to_string(getpid()) + ".toml";
  std::ofstream(path) << "cores = 4\nrequests = 2000\nhyperthreads = true\nnodes = 2\nrx_slots = 512\n"
                         "[[app]]\nname = \"batch\"\npriority = \"best-effort\"\nbatch_threads = 8\nmax = 3\n"
                         "[[app]]\nname = \"svc\"\nservice = \"exp:10us\"\nload = 0.3\nflows = 77\nguaranteed = 1\n"
                         "slice = \"40us\"\n";
  const Json json = Object("run --idle-spin 20us --scenario " + path);
  EXPECT_EQ(json["service"], "exp:10us");
  EXPECT_EQ(json["load"], 0.3);
  EXPECT_EQ(json["rate_per_s"], 120000);
  EXPECT_EQ(json["flows"], 77);
  EXPECT_EQ(json["slice_us"], 40);
  EXPECT_EQ(json["idle_spin_us"], 20);
  EXPECT_EQ(json["install_flows"], false);
  EXPECT_EQ(json["hyperthreads"], true);
  EXPECT_EQ(json["nodes"], 2);
  EXPECT_EQ(json["rx_slots"], 512);
  EXPECT_EQ(json["profile"], nullptr);
  EXPECT_EQ(json["scenario"], path);
  ASSERT_EQ(json["apps"].size(), 2u);
  const Json& batch = json["apps"][0];
  EXPECT_EQ(batch["name"], "batch");
  EXPECT_EQ(batch["priority"], "best-effort");
  EXPECT_EQ(batch["max"], 3);
  EXPECT_EQ(batch["batch_threads"], 8);
  EXPECT_EQ(batch["service"], nullptr);
  EXPECT_EQ(batch["load"], nullptr);
  const Json& service = json["apps"][1];
  EXPECT_EQ(service["name"], "svc");
  EXPECT_EQ(service["service"], "exp:10us");
  EXPECT_EQ(service["arrivals"], "poisson");
  EXPECT_EQ(service["load"], 0.3);
  EXPECT_EQ(service["flows"], 77);
  EXPECT_EQ(service["guaranteed"], 1);
  EXPECT_EQ(service["max"], 4);
  EXPECT_EQ(service["slice_us"], 40);
  EXPECT_EQ(Object("run --load 0.2 --scenario " + path)["apps"][1]["load"], 0.2);
  unlink(path.c_str());
}

TEST(Cli, WhatIsWrongIsBadUsage) {
  for (const char* arguments : {"",
                                "run --cores 0",
                                "run --slice 1ns",
                                "run --cores 2000",
                                "run --steering nonsense",
                                "run --service 10us",
                                "run --requests 1.5",
                                "run --scheduler fifo",
                                "run --profile /nonexistent",
                                "sweep",
                                "sweep --vary load",
                                "sweep --vary load=x",
                                "run --load nan",
                                "run --load -1",
                                "run --rate inf",
                                "run --warm-up nan",
                                "run --seed -1",
                                "run --service ''",
                                "run --steering ''",
                                "run --cores ''",
                                "sweep --vary load=0.2,,0.4",
                                "sweep --vary load=",
                                "sweep --vary json=x",
                                "replay /nonexistent",
                                "replay --pick foo /dev/null",
                                "replay --pick foo /nonexistent"}) {
    EXPECT_EQ(Simulator(arguments).first, 2) << arguments;
  }
}

TEST(Cli, WhatCanHaveNoEffectIsBadUsage) {
  for (const char* arguments :
       {"run --scheduler c-fcfs --record /dev/null", "run --scheduler c-fcfs --timeline /dev/null",
        "run --scheduler c-fcfs --slice 50us", "run --scheduler steal --interval 10us",
        "run --scheduler d-fcfs --idle-spin 1us", "run --scheduler c-fcfs --steering bogus",
        "run --scheduler c-fcfs --congestion bogus", "run --load 0.5 --rate 100",
        "run --arrivals bursts:1k:2k:1ms --load 0.9", "run --arrivals bursts:1k:2k:1ms --rate 5", "run --install-flows",
        "sweep --vary load=0.1 --list --csv /dev/null", "run --json - --timeline -"}) {
    EXPECT_EQ(Simulator(arguments).first, 2) << arguments;
  }
  // What an ideal ignores, but may be given so that a sweep sets it beside `sluice`.
  EXPECT_EQ(Simulator("run --scheduler c-fcfs --steering flow-affinity --requests 1000").first, 0);
  EXPECT_EQ(Simulator("run --arrivals bursts:1M:2M:1ms --requests 1000").first, 0);
}

// A run of 4e9 requests would last for many minutes: that this ends shows that nothing was simulated.
TEST(Cli, AFileThatCannotBeWrittenIsRefusedBeforeTheWork) {
  for (const std::string flag : {"--json", "--timeline", "--record"}) {
    EXPECT_EQ(Simulator("run --requests 4e9 " + flag + " /nonexistent/file").first, 2) << flag;
  }
  EXPECT_EQ(Simulator("sweep --vary load=0.1 --requests 4e9 --csv /nonexistent/file").first, 2);
  EXPECT_EQ(Simulator("calibrate --out /nonexistent/file").first, 2);
}

TEST(Cli, AFileKeepsWhatItHasUntilTheResultIsThere) {
  const std::string path = ::testing::TempDir() + "sluice-kept-" + std::to_string(getpid());
  const std::string other = path + "-new";
  const std::string kept(100'000, 'x');
  std::ofstream(path) << kept;
  EXPECT_EQ(Simulator("replay /dev/null --json " + path).first, 1) << "an empty log";
  std::ifstream file(path);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), kept);
  EXPECT_EQ(Simulator("replay /dev/null --json " + other).first, 1);
  EXPECT_NE(access(other.c_str(), F_OK), 0) << "no file is left of a result that never came";
  EXPECT_EQ(Simulator("run --requests 1000 --json " + path).first, 0);
  EXPECT_TRUE(Json::parse(std::ifstream(path), nullptr, false).is_object()) << "nothing is left of the old one";
  unlink(path.c_str());
}

TEST(Cli, UnknownFlagsArePrintedAsTheyWereTyped) {
  for (const char* command : {"run --bogus 1 --more", "sweep --vary load=0.1 --bogus 1 --more"}) {
    EXPECT_NE(Complaint(command).find("--bogus 1 --more"), std::string::npos) << command;
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

// Each row says which job it is of.
TEST(Cli, AllThatASweepVariesIsInItsRows) {
  const auto [status, csv] = Simulator(
      "sweep --requests 1000 --service exp:10us --steering flow-affinity --vary slice=0,50us --vary idle-spin=0,20us "
      "--vary install-flows=true,false --vary warm-up=0,0.5 --vary window=0,1ms --csv -");
  ASSERT_EQ(status, 0);
  std::istringstream lines(csv);
  std::string heading, line;
  std::getline(lines, heading);
  for (const char* column : {"arrivals", "p95_us", "requests", "warm_up", "iokernel_receive", "iokernel_reply",
                             "iokernel_congestion_detection", "iokernel_core_reallocation"}) {
    EXPECT_NE((',' + heading + ',').find(std::string(",") + column + ','), std::string::npos) << column;
  }
  const size_t figures = heading.substr(0, heading.find(",mean_us")).size();
  const auto inputs = std::count(heading.begin(), heading.begin() + static_cast<std::ptrdiff_t>(figures), ',') + 1;
  std::set<std::string> jobs;
  while (std::getline(lines, line)) {
    size_t end = 0;
    for (std::ptrdiff_t i = 0; i < inputs; ++i) end = line.find(',', end + 1);
    jobs.insert(line.substr(0, end));
  }
  EXPECT_EQ(jobs.size(), 32u);
}

TEST(Cli, ValuesWithCommasCanBeVaried) {
  const std::string sweep = "sweep --scheduler c-fcfs --requests 1000 --vary 'service=mix:1:1us,1:2us;exp:1us' ";
  const Json all = Json::parse(Simulator(sweep + "--json -").second, nullptr, false);
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0]["service"], "mix:1:1us,1:2us");
  EXPECT_EQ(all[1]["service"], "exp:1us");
  EXPECT_NE(Simulator(sweep + "--csv -").second.find(",\"mix:1:1us,1:2us\","), std::string::npos);
  const auto list = Simulator("sweep --vary 'service=mix:1:1us,1:2us;' --vary 'load=0.5' --list").second;
  EXPECT_EQ(list, "simulator run --service=mix:1:1us,1:2us --load=0.5 --json -\n");
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
