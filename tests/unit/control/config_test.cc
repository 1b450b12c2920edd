// config_test.cc - what the config may say, and how each mistake in it is told.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <random>

#include "iokernel/control/units.h"
#include "policies/registry.h"
#include "tests/unit/control/machine.h"

namespace sluice {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(ConfigTest, NothingSaidIsAllowed) {
  const Checked checked = CheckToml("");
  EXPECT_THAT(checked.errors, IsEmpty());
  EXPECT_EQ(checked.config.loop_cpu, 0);
  EXPECT_THAT(checked.config.core_cpus, ElementsAre(1, 2, 3, 4, 5));
  EXPECT_EQ(checked.config.run_dir, "/run/sluice");
  EXPECT_EQ(checked.config.interval_us, 5u);
}

TEST(ConfigTest, EverythingSaid) {
  const Checked checked = CheckToml(R"(
[iokernel]
port = "af_xdp:veth0"
cores = ["2-3", 5, "1*4"]
cpu = 0
interval_us = 10
run_dir = "/run/other"
grant = "futex"
[policy]
steering = "flow-affinity"
pick = "scan"
congestion = "standing-queue"
placement = "simple"
[net]
address = "10.0.0.2/24"
routes = ["10.64.0.0/10 via 10.0.0.1"]
[[app]]
name = "memcached"
address = "10.0.0.3"
guaranteed = 2
max = 4
priority = "latency-critical"
steering = "rss"
flows = 1000
slice_us = 100
[[app]]
name = "batch"
priority = "best-effort"
)");
  EXPECT_THAT(checked.errors, IsEmpty());
  const Config& config = checked.config;
  EXPECT_EQ(config.port.kind, PortKind::kAfXdp);
  EXPECT_EQ(config.port.argument, "veth0");
  EXPECT_THAT(config.core_cpus, ElementsAre(2, 3, 5, 1, 1, 1, 1));
  EXPECT_TRUE(config.shared_cpus);
  EXPECT_EQ(config.interval_us, 10u);
  EXPECT_EQ(config.steering, "flow-affinity");
  EXPECT_EQ(config.pick, "scan");
  EXPECT_EQ(FormatIpv4Net(config.address.value()), "10.0.0.2/24");
  ASSERT_EQ(config.routes.size(), 1u);
  EXPECT_EQ(FormatIpv4Net(config.routes[0].network), "10.64.0.0/10");
  ASSERT_EQ(config.apps.size(), 2u);
  EXPECT_EQ(config.apps[0].guaranteed, 2);
  EXPECT_EQ(config.apps[0].max, 4);
  EXPECT_EQ(config.apps[0].flows, 1000u);
  EXPECT_EQ(config.apps[0].slice_us, 100u);
  EXPECT_EQ(config.apps[1].slice_us, 0u);
  EXPECT_EQ(config.apps[1].priority, Priority::kBestEffort);
  EXPECT_EQ(config.apps[1].address, std::nullopt);
}

// One mistake each, and the one line that tells it.
struct Mistake {
  const char* toml;
  const char* error;
};

const Mistake kMistakes[] = {
    // Names.
    {"[iokernl]\n",
     R"(s.toml:1:2: got unknown table "iokernl", allowed: [iokernel], [policy], [net], [[app]], did you mean [iokernel]?)"},
    {"port = \"null\"\n", R"(s.toml:1:1: got unknown key "port", allowed: [iokernel], [policy], [net], [[app]])"},
    {"[iokernel]\ncorse = [1]\n",
     R"(s.toml:2:1: [iokernel]: got unknown key "corse", allowed: port, cores, cpu, interval_us, run_dir, grant, idle_burner, did you mean cores?)"},
    {"[app]\nname = \"a\"\n",
     R"(s.toml:1:2: app: got a table, allowed: [[app]], once for each app, did you mean [[app]]?)"},
    {"net = 3\n", R"(s.toml:1:1: net: got 3, allowed: a table, [net])"},
    {"[[app]]\nname = \"a\"\nadress = \"10.0.0.3\"\n",
     R"(s.toml:3:1: [[app]]: got unknown key "adress", allowed: name, address, guaranteed, max, priority, steering, flows, slice_us, did you mean address?)"},
    // Types and units.
    {"[iokernel]\ninterval_us = \"5us\"\n",
     R"(s.toml:2:15: [iokernel] interval_us: got "5us", allowed: a whole number of microseconds, did you mean 5?)"},
    {"[iokernel]\ninterval_us = \"2ms\"\n",
     R"(s.toml:2:15: [iokernel] interval_us: got "2ms", allowed: a whole number of microseconds, did you mean 2000?)"},
    {"[iokernel]\ninterval_us = 5.5\n",
     R"(s.toml:2:15: [iokernel] interval_us: got 5.5, allowed: a whole number of microseconds)"},
    {"[iokernel]\ninterval_us = 0\n",
     R"(s.toml:2:15: [iokernel] interval_us: got 0, allowed: 1 to 100000 microseconds)"},
    {"[iokernel]\nport = 3\n", R"(s.toml:2:8: [iokernel] port: got 3, allowed: a text in quotes, did you mean "3"?)"},
    {"[iokernel]\nidle_burner = \"yes\"\n", R"(s.toml:2:15: [iokernel] idle_burner: got "yes", allowed: on, off)"},
    {"[iokernel]\ngrant = \"fuetx\"\n",
     R"(s.toml:2:9: [iokernel] grant: got "fuetx", allowed: auto, futex, ksched, did you mean futex?)"},
    {"[iokernel\n", "s.toml:1:10: not TOML: Error while parsing table header: expected ']', saw '\\n'"},
    // Ports.
    {"[iokernel]\nport = \"af_xpd:veth0\"\n",
     R"(s.toml:2:8: [iokernel] port: got "af_xpd:veth0", allowed: af_xdp:IFACE, tap:NAME, af_packet:IFACE, memif:SOCKET, pci:ADDR, null, did you mean "af_xdp:veth0"?)"},
    {"[iokernel]\nport = \"veth0\"\n",
     R"(s.toml:2:8: [iokernel] port: got "veth0", allowed: af_xdp:IFACE, tap:NAME, af_packet:IFACE, memif:SOCKET, pci:ADDR, null, did you mean "af_xdp:veth0"?)"},
    {"[iokernel]\nport = \"af_xdp\"\n",
     R"(s.toml:2:8: [iokernel] port: got "af_xdp", allowed: af_xdp:IFACE, such as af_xdp:veth0)"},
    {"[iokernel]\nport = \"af_xdp:veth1\"\n",
     R"(s.toml:2:8: [iokernel] port: got no interface "veth1", allowed: those of this network namespace: lo, veth0, did you mean "af_xdp:veth0"?)"},
    {"[iokernel]\nport = \"tap:a/b\"\n",
     R"(s.toml:2:8: [iokernel] port: got "a/b", allowed: a name of 1 to 15 characters without spaces, '/' and ':')"},
    {"[iokernel]\nport = \"pci:3b:00.0\"\n",
     R"(s.toml:2:8: [iokernel] port: got "3b:00.0", allowed: a PCI address such as 0000:3b:00.0, did you mean "pci:0000:3b:00.0"?)"},
    {"[iokernel]\nport = \"pci:0000:3b:00.1\"\n",
     R"(s.toml:2:8: [iokernel] port: got no PCI device 0000:3b:00.1, allowed: those that lspci -D shows, did you mean "pci:0000:3b:00.0"?)"},
    // Cores.
    {"[iokernel]\ncores = [9]\n",
     R"(s.toml:2:10: [iokernel] cores: got CPU 9, which does not exist, allowed: the CPUs of this machine: 0-7)"},
    {"[iokernel]\ncores = [\"6-9\"]\n",
     R"(s.toml:2:10: [iokernel] cores: got CPU 8-9, which does not exist, allowed: the CPUs of this machine: 0-7)"},
    {"[iokernel]\ncores = [1, \"1-2\"]\n",
     R"(s.toml:2:13: [iokernel] cores: got CPU 1 a second time, allowed: each CPU once; several slots on one CPU are written "1*2")"},
    {"[iokernel]\ncpu = 2\ncores = [\"1-3\"]\n",
     R"(s.toml:3:10: [iokernel] cores: got CPU 2, the loop's own, allowed: any other; the loop has its CPU for itself)"},
    {"[iokernel]\ncores = [\"0-5\"]\n",
     R"(s.toml:2:9: [iokernel] cores: got all CPUs (0-5), allowed: all but one, which the loop has for itself)"},
    {"[iokernel]\ncores = []\n", R"(s.toml:2:9: [iokernel] cores: got no core, allowed: at least one)"},
    {"[iokernel]\ncores = \"2-5\"\n",
     R"x(s.toml:2:9: [iokernel] cores: got "2-5", allowed: a list, such as ["2-5", 8, "1*4"], did you mean ["2-5"]?)x"},
    {"[iokernel]\ncores = [\"5-2\"]\n",
     R"(s.toml:2:10: [iokernel] cores: got "5-2", allowed: a CPU (3), several (2-5), or several slots on one (1*4))"},
    {"[iokernel]\ncpu = 64\n",
     R"(s.toml:2:7: [iokernel] cpu: got CPU 64, which does not exist, allowed: the CPUs of this machine: 0-7)"},
    {"[iokernel]\ncores = [\"1*1000\", \"2*1000\"]\n",
     R"(s.toml:2:9: [iokernel] cores: got 2000 core slots, allowed: at most 1024)"},
    // Policies.
    {"[policy]\nsteering = \"rs\"\n",
     R"(s.toml:2:12: [policy] steering: got "rs", allowed: {steering}, did you mean rss?)"},
    // Addresses.
    {"[net]\naddress = \"10.0.0.2\"\n",
     R"(s.toml:2:11: [net] address: got "10.0.0.2", allowed: an address and its network's bits, 1 to 30, such as 10.0.0.2/24, did you mean "10.0.0.2/24"?)"},
    {"[net]\naddress = \"10.0.0.0/24\"\n",
     R"(s.toml:2:11: [net] address: got "10.0.0.0/24", allowed: the address of a host, not a network, broadcast or multicast)"},
    {"[net]\naddress = \"10.0.0.2/24\"\nroutes = [\"10.64.0.0/10 via 10.1.0.1\"]\n",
     R"(s.toml:3:11: [net] routes: got the gateway 10.1.0.1, allowed: a host's address in 10.0.0.0/24, from [net] address)"},
    {"[net]\naddress = \"10.0.0.2/24\"\nroutes = [\"10.64.0.0/10 via 10.0.0.2\"]\n",
     R"(s.toml:3:11: [net] routes: got the gateway 10.0.0.2, which is [net] address, iokerneld's own, allowed: any other in 10.0.0.0/24)"},
    {"[net]\naddress = \"10.0.0.2/24\"\nroutes = [\"10.64.1.0/10 via 10.0.0.1\"]\n",
     R"(s.toml:3:11: [net] routes: got "10.64.1.0/10 via 10.0.0.1", allowed: a network's address, with zeros behind its bits, did you mean "10.64.0.0/10 via 10.0.0.1"?)"},
    {"[net]\naddress = \"10.0.0.2/24\"\nroutes = [\"10.64.0.0/10\"]\n",
     R"x(s.toml:3:11: [net] routes: got "10.64.0.0/10", allowed: "NETWORK/BITS via GATEWAY", such as "10.64.0.0/10 via 10.0.0.1")x"},
    {"[net]\naddress = \"10.0.0.2/24\"\nroutes = [\"10.8.0.0/16 via 10.0.0.1\", \"10.8.0.0/16 via 10.0.0.3\"]\n",
     R"(s.toml:3:39: [net] routes: got a second route to 10.8.0.0/16, allowed: one for each network)"},
    {"[net]\nroutes = [\"10.64.0.0/10 via 10.0.0.1\"]\n",
     R"(s.toml:2:11: [net] routes: got 10.0.0.1, but [net] address is not set, and so there is no network)"},
    // Apps.
    {"[[app]]\nmax = 1\n",
     R"x(s.toml:1:1: [[app]]: got no name, allowed: name = "...", by which the app will ask for this entry)x"},
    {"[[app]]\nname = \"a b\"\n",
     R"(s.toml:2:8: [[app]] name: got "a b", allowed: 1 to 31 letters, digits and -_.:+@)"},
    {"[[app]]\nname = \"a\"\n[[app]]\nname = \"a\"\n",
     R"(s.toml:4:8: [[app]] name: got "a" a second time, allowed: names that differ; the first is on line 2)"},
    {"[net]\naddress = \"10.0.0.2/24\"\n[[app]]\nname = \"a\"\naddress = \"10.0.0.3\"\n[[app]]\nname = \"b\"\naddress "
     "= \"10.0.0.3\"\n",
     R"(s.toml:8:11: [[app]] address: got 10.0.0.3 a second time, allowed: addresses that differ; the first is on line 5)"},
    {"[net]\naddress = \"10.0.0.2/24\"\n[[app]]\nname = \"a\"\naddress = \"10.0.1.3\"\n",
     R"(s.toml:5:11: [[app]] address: got 10.0.1.3, allowed: a host's address in 10.0.0.0/24, from [net] address)"},
    {"[net]\naddress = \"10.0.0.2/24\"\n[[app]]\nname = \"a\"\naddress = \"10.0.0.3/24\"\n",
     R"(s.toml:5:11: [[app]] address: got "10.0.0.3/24", allowed: an IPv4 address, such as 10.0.0.3, did you mean "10.0.0.3"?)"},
    {"[net]\naddress = \"10.0.0.2/24\"\nroutes = [\"10.8.0.0/16 via 10.0.0.1\"]\n[[app]]\nname = \"a\"\naddress = "
     "\"10.0.0.1\"\n",
     R"(s.toml:6:11: [[app]] address: got 10.0.0.1, the gateway of the route to 10.8.0.0/16, allowed: any other)"},
    {"[[app]]\nname = \"a\"\naddress = \"10.0.0.3\"\n",
     R"(s.toml:3:11: [[app]] address: got 10.0.0.3, but [net] address is not set, and so there is no network)"},
    {"[[app]]\nname = \"a\"\npriority = \"best\"\n",
     R"(s.toml:3:12: [[app]] priority: got "best", allowed: latency-critical, best-effort, did you mean best-effort?)"},
    {"[[app]]\nname = \"a\"\nmax = 9\n",
     R"(s.toml:3:7: [[app]] max: got 9, allowed: 1 to 5 cores, of which there are 5)"},
    {"[[app]]\nname = \"a\"\nguaranteed = 3\nmax = 2\n",
     R"(s.toml:3:14: [[app]] guaranteed: got 3, allowed: 0 to 2, its max)"},
    {"[[app]]\nname = \"a\"\nflows = 0\n", R"(s.toml:3:9: [[app]] flows: got 0, allowed: 1 to 16777216 flows)"},
    {"[[app]]\nname = \"a\"\nslice_us = 9\n",
     R"(s.toml:3:12: [[app]] slice_us: got 9, allowed: 10 to 1000000 microseconds, or 0, none)"},
    {"[[app]]\nname = \"a\"\nguaranteed = 3\n[[app]]\nname = \"b\"\nguaranteed = 3\n",
     R"(s.toml:6:14: [[app]] guaranteed: got 3, and all guarantees together 3 + 3 = 6, allowed: at most 5 together, one for each core slot)"},
    {"[policy]\ncongestion = \"delay:10\"\n",
     R"(s.toml:2:14: [policy] congestion: got "delay:10", allowed: delay, delay:TIME or delay:LOW..HIGH (10us, the default; 5us..20us))"},
    {"[[app]]\nname = \"a\"\nsteering = \"flow-afinity\"\n",
     R"(s.toml:3:12: [[app]] steering: got "flow-afinity", allowed: {steering}, did you mean flow-affinity?)"},
};

// "{steering}" stands for the names of the registry, so that a new policy breaks no test.
std::string Expand(std::string text) {
  std::string names;
  for (const PolicyInfo& policy : PolicyList()) {
    if (policy.kind == PolicyKind::kSteering) names += (names.empty() ? "" : ", ") + std::string(policy.name);
  }
  constexpr std::string_view kMark = "{steering}";
  if (const size_t at = text.find(kMark); at != std::string::npos) text.replace(at, kMark.size(), names);
  return text;
}

TEST(ConfigTest, EveryMistakeIsTold) {
  for (const Mistake& mistake : kMistakes) {
    EXPECT_THAT(CheckToml(mistake.toml).errors, ElementsAre(Expand(mistake.error))) << mistake.toml;
  }
}

TEST(ConfigTest, AllMistakesAtOnceInTheOrderOfTheText) {
  const Checked checked = CheckToml(R"([policy]
pick = "nobody"
[iokernel]
interval_us = -1
prot = "null"
[[app]]
name = ""
)");
  ASSERT_EQ(checked.errors.size(), 4u);
  EXPECT_THAT(checked.errors[0], HasSubstr("s.toml:2:8: [policy] pick"));
  EXPECT_THAT(checked.errors[1], HasSubstr("s.toml:4:15: [iokernel] interval_us"));
  EXPECT_THAT(checked.errors[2], HasSubstr("s.toml:5:1: [iokernel]: got unknown key"));
  EXPECT_THAT(checked.errors[3], HasSubstr("s.toml:7:8: [[app]] name"));
}

TEST(ConfigTest, ASecondAddressIsToldThoughTheNetworkIsNotKnown) {
  const Checked checked = CheckToml(R"([net]
address = "10.0.0.2/33"
[[app]]
name = "a"
address = "10.0.0.3"
[[app]]
name = "b"
address = "10.0.0.3"
)");
  ASSERT_EQ(checked.errors.size(), 2u);
  EXPECT_THAT(checked.errors[1], HasSubstr("s.toml:8:11: [[app]] address: got 10.0.0.3 a second time"));
}

TEST(ConfigTest, OneCpuIsTooFew) {
  MachineFacts machine = TestMachine();
  machine.cpus = machine.allowed = {0};
  EXPECT_THAT(CheckToml("", machine).errors,
              ElementsAre("iokerneld: got a single CPU (0), allowed: at least two, one for the loop and one for apps"));
}

TEST(ConfigTest, TheLoopTakesTheFirstCpuThatCoresLeave) {
  EXPECT_EQ(CheckToml("[iokernel]\ncores = [\"0-1\"]\n").config.loop_cpu, 2);
}

// --- flags --------------------------------------------------------------------------------------------

TEST(FlagsTest, MistakesNameTheFlag) {
  const CommandLine line = RunFlags({"--check", "--port", "af_xdp:nope", "--interval-us", "5us", "--cores", "1,99",
                                     "--steering", "rs", "--pikc", "scan", "--cpu=x"});
  EXPECT_EQ(line.mode, CommandMode::kInvalid);
  EXPECT_THAT(line.errors,
              testing::UnorderedElementsAre(
                  R"(--port: got no interface "nope", allowed: those of this network namespace: lo, veth0)",
                  R"(--interval-us: got "5us", allowed: a whole number of microseconds, did you mean 5?)",
                  "--cores: got CPU 99, which does not exist, allowed: the CPUs of this machine: 0-7",
                  Expand(R"(--steering: got "rs", allowed: {steering}, did you mean rss?)"),
                  "--pikc: unknown flag, allowed: those of --help, did you mean --pick?",
                  R"(--cpu: got "x", allowed: the number of a CPU)"));
}

TEST(FlagsTest, AFlagWithoutItsValue) {
  const CommandLine line = RunFlags({"--port"});
  EXPECT_EQ(line.mode, CommandMode::kInvalid);
  EXPECT_THAT(line.errors, ElementsAre(HasSubstr("--port")));
}

TEST(FlagsTest, AFileThatIsNotThere) {
  EXPECT_THAT(
      RunFlags({"--config", "/nonexistent/s.toml", "--check"}).errors,
      ElementsAre(
          R"(--config: got "/nonexistent/s.toml" (No such file or directory), allowed: a file that can be read)"));
}

TEST(FlagsTest, GoBeforeTheFile) {
  char name[] = "/tmp/sluice_config_test_XXXXXX";
  const int fd = mkstemp(name);
  ASSERT_GE(fd, 0);
  close(fd);
  std::ofstream(name) << "[iokernel]\nport = \"tap:a\"\ncores = [\"4-5\"]\n[policy]\nsteering = \"round-robin\"\n";
  const CommandLine line = RunFlags({"--config", name, "--port", "null", "--cores", "1*4,3"});
  std::remove(name);
  EXPECT_THAT(line.errors, IsEmpty());
  EXPECT_EQ(line.mode, CommandMode::kRun);
  EXPECT_EQ(line.config.port.kind, PortKind::kNull);
  EXPECT_THAT(line.config.core_cpus, ElementsAre(1, 1, 1, 1, 3));
  EXPECT_EQ(line.config.steering, "round-robin");
}

TEST(FlagsTest, WithoutAPortTheChoicesAreListed) {
  const CommandLine line = RunFlags({});
  EXPECT_EQ(line.mode, CommandMode::kInvalid);
  ASSERT_EQ(line.errors.size(), 1u);
  for (const char* choice : {"--port af_xdp:veth0", "--port tap:sluice0", "--port af_packet:veth0",
                             "--port memif:", "--port pci:0000:3b:00.0", "--port null"}) {
    EXPECT_THAT(line.errors[0], HasSubstr(choice));
  }
}

TEST(FlagsTest, AMissingPortIsToldWithAllElse) {
  const CommandLine line = RunFlags({"--steering", "nobody"});
  ASSERT_EQ(line.errors.size(), 2u);
  EXPECT_THAT(line.errors[0], HasSubstr(R"(--steering: got "nobody")"));
  EXPECT_THAT(line.errors[1], HasSubstr("--port: got none"));
}

TEST(FlagsTest, LooksWithoutAPort) {
  for (const char* flag : {"--check", "--print-config", "--list-policies", "--help", "--version"}) {
    const CommandLine line = RunFlags({flag});
    EXPECT_EQ(line.mode, CommandMode::kPrint) << flag;
    EXPECT_FALSE(line.output.empty()) << flag;
  }
}

// A policy's parameters are part of its name for the config: kept as written, printed as read.
TEST(FlagsTest, PoliciesTakeParameters) {
  const CommandLine line = RunFlags({"--port", "null", "--congestion", "delay:5us..20us"});
  EXPECT_THAT(line.errors, IsEmpty());
  EXPECT_EQ(line.config.congestion, "delay:5us..20us");
  const CommandLine printed = RunFlags({"--print-config", "--congestion", "utilization:80%"});
  EXPECT_THAT(printed.output, HasSubstr("congestion = \"utilization:80%\""));
  EXPECT_THAT(RunFlags({"--port", "null", "--steering", "rss:4"}).errors,
              ElementsAre("--steering: got \"rss:4\", allowed: rss"));
}

TEST(FlagsTest, ListPoliciesNamesEveryOneWithItsLine) {
  const std::string text = RunFlags({"--list-policies"}).output;
  for (const PolicyInfo& policy : PolicyList()) {
    EXPECT_THAT(text, HasSubstr(std::string(policy.name)));
    EXPECT_THAT(text, HasSubstr(std::string(policy.summary)));
  }
}

TEST(FlagsTest, RoutesAreGivenOneByOne) {
  const CommandLine line = RunFlags({"--port", "null", "--address", "10.0.0.2/24", "--route",
                                     "10.64.0.0/10 via 10.0.0.1", "--route", "10.8.0.0/16 via 10.0.0.1"});
  EXPECT_THAT(line.errors, IsEmpty());
  EXPECT_EQ(line.config.routes.size(), 2u);
}

// --- round trip ---------------------------------------------------------------------------------------

// A random Config that passes the checks on the test machine.
Config RandomConfig(std::mt19937& random) {
  const auto below = [&random](uint32_t n) { return static_cast<uint32_t>(random() % n); };
  std::string toml = "[iokernel]\n";
  const char* const kPorts[] = {"", "af_xdp:veth0", "tap:x0", "af_packet:lo", "memif:id=0,socket=/a\\\\b", "null"};
  if (const char* port = kPorts[below(6)]; *port != '\0') toml += std::string("port = \"") + port + "\"\n";
  const char* const kCores[] = {"[1]", "[\"1*4\"]", "[\"4-7\", 1, \"2-3*2\"]", "[5, 4, 3]", "[\"1-3\"]"};
  if (below(4) > 0) toml += std::string("cores = ") + kCores[below(5)] + "\n";
  if (below(2) > 0) toml += "cpu = 0\n";
  toml += "interval_us = " + std::to_string(1 + below(1000)) + "\n";
  const char* const kDirs[] = {"/run/sluice", "/tmp/a \\\"b\\\" c", "/tmp/\\u00e9\\\\x", "/tmp/t\\tt/../z/"};
  if (below(2) > 0) toml += std::string("run_dir = \"") + kDirs[below(3)] + "\"\n";
  const char* const kGrants[] = {"auto", "futex", "ksched"};
  toml += std::string("grant = \"") + kGrants[below(3)] + "\"\n";
  if (below(2) == 0) toml += "idle_burner = \"on\"\n";
  toml += "[policy]\n";
  std::vector<std::string> steering;
  for (const PolicyInfo& policy : PolicyList()) {
    if (policy.kind == PolicyKind::kSteering) steering.emplace_back(policy.name);
  }
  toml += "steering = \"" + steering[below(static_cast<uint32_t>(steering.size()))] + "\"\n";
  const bool net = below(3) > 0;
  if (net) toml += "[net]\naddress = \"10.0.0." + std::to_string(2 + below(5)) + "/24\"\n";
  if (net && below(2) > 0) toml += "routes = [\"10.64.0.0/10 via 10.0.0.1\", \"0.0.0.0/0 via 10.0.0.9\"]\n";
  const uint32_t apps = below(4);
  for (uint32_t i = 0; i < apps; ++i) {
    toml += "[[app]]\nname = \"app-" + std::to_string(i) + "\"\n";
    if (net && below(2) > 0) toml += "address = \"10.0.0." + std::to_string(100 + i) + "\"\n";
    if (below(2) > 0) toml += "max = 1\n";
    if (i == 0 && below(2) > 0) toml += "guaranteed = 1\n";
    if (below(2) > 0) toml += "priority = \"best-effort\"\n";
    if (below(2) > 0) toml += "steering = \"" + steering[below(static_cast<uint32_t>(steering.size()))] + "\"\n";
    if (below(2) > 0) toml += "flows = " + std::to_string(1 + below(1'000'000)) + "\n";
    if (below(2) > 0) toml += "slice_us = " + std::to_string(50'000 + below(1000)) + "\n";
  }
  const Checked checked = CheckToml(toml);
  EXPECT_THAT(checked.errors, IsEmpty()) << toml;
  return checked.config;
}

TEST(ConfigTest, WhatIsPrintedParsesBackToTheSame) {
  std::mt19937 random(20260101);
  for (int i = 0; i < 2000 && !testing::Test::HasFailure(); ++i) {
    const Config config = RandomConfig(random);
    const std::string text = PrintConfig(config);
    const Checked again = CheckToml(text);
    EXPECT_THAT(again.errors, IsEmpty()) << text;
    EXPECT_TRUE(again.config == config) << text << "\nwas read back as\n" << PrintConfig(again.config);
  }
}

}  // namespace
}  // namespace sluice
