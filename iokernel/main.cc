// main.cc - iokerneld: look at everything, take hold of the machine, run, let go again.
//
// Threads: main is the control thread (control/server.h), on any CPU but the loop's; the dataplane loop
// (dataplane/loop.h) has its CPU for itself.
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <thread>

#include "iokernel/control/allocator_setup.h"
#include "iokernel/control/config_parse.h"
#include "iokernel/control/idle_burner.h"
#include "iokernel/control/instance.h"
#include "iokernel/control/log.h"
#include "iokernel/control/privileges.h"
#include "iokernel/control/server.h"
#include "iokernel/control/units.h"
#include "iokernel/dataplane/eal.h"
#include "iokernel/dataplane/loop.h"
#include "iokernel/dataplane/port.h"
#include "iokernel/dataplane/tsc.h"
#include "iokernel/grant/make_backend.h"
#include "policies/registry.h"

namespace sluice {
namespace {

constexpr int kExitClean = 0;
constexpr int kExitRefused = 1;  // by the machine
constexpr int kExitUsage = 2;    // nothing was touched

// A kthread that says it has parked calls the kernel within microseconds, unless its CPU is taken from it.
constexpr uint64_t kOverstayUs = 200;

// Fallbacks: one line each in the log, and kept for `sluicectl stat`.
class Fallbacks {
 public:
  void Add(std::string line) {
    if (line.empty()) return;
    LogWarning(line);
    lines_.push_back(std::move(line));
  }
  [[nodiscard]] const std::vector<std::string>& lines() const { return lines_; }

 private:
  std::vector<std::string> lines_;
};

// From before the first thread is made, so that every thread inherits it.
FileDescriptor CatchStopSignals() {
  sigset_t stop;
  sigemptyset(&stop);
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&stop, number);
  // A background job of a script is started with SIGINT ignored, and an ignored signal never arrives.
  signal(SIGINT, SIG_DFL);
  signal(SIGTERM, SIG_DFL);
  signal(SIGPIPE, SIG_IGN);
  pthread_sigmask(SIG_BLOCK, &stop, nullptr);
  return FileDescriptor(signalfd(-1, &stop, SFD_NONBLOCK | SFD_CLOEXEC));
}

bool PinTo(const std::vector<uint16_t>& cpus) {
  const size_t bytes = CPU_ALLOC_SIZE(UINT16_MAX + 1);
  cpu_set_t* set = CPU_ALLOC(UINT16_MAX + 1);
  CPU_ZERO_S(bytes, set);
  for (const uint16_t cpu : cpus) CPU_SET_S(cpu, bytes, set);
  const bool pinned = pthread_setaffinity_np(pthread_self(), bytes, set) == 0;
  CPU_FREE(set);
  return pinned;
}

// The control thread goes to CPUs that nobody manages. Where there are none it shares managed ones: these.
std::vector<uint16_t> PlaceControlThread(const Config& config, const MachineFacts& machine, Fallbacks& fallbacks) {
  std::vector<uint16_t> unmanaged, managed;
  for (const uint16_t cpu : machine.allowed) {
    if (cpu == config.loop_cpu) continue;
    const bool ours = std::find(config.core_cpus.begin(), config.core_cpus.end(), cpu) != config.core_cpus.end();
    (ours ? managed : unmanaged).push_back(cpu);
  }
  const std::vector<uint16_t>& cpus = unmanaged.empty() ? managed : unmanaged;
  if (cpus.empty() || !PinTo(cpus)) {
    fallbacks.Add("the control plane could not be kept off the loop's CPU " + std::to_string(config.loop_cpu));
    return {};
  }
  return unmanaged.empty() ? managed : std::vector<uint16_t>{};
}

// Before the apps that share its CPU: a hang-up has to be acted on whatever they do. Only after all other threads
// were made, which would inherit it.
void RaiseControlThread(const std::vector<uint16_t>& shared_cpus, Fallbacks& fallbacks) {
  if (shared_cpus.empty()) return;
  sched_param priority{};
  priority.sched_priority = 1;
  const bool real_time = pthread_setschedparam(pthread_self(), SCHED_FIFO, &priority) == 0;
  fallbacks.Add("no CPU is left for the control plane: it shares " + FormatCpuList(shared_cpus) + " with apps" +
                (real_time ? ", as SCHED_FIFO" : ", at ordinary priority (no CAP_SYS_NICE)"));
}

// Tables of the configured apps, and of some that may come without an entry.
size_t SteeringMemory(const Config& config) {
  constexpr size_t kWithoutEntry = 4;
  size_t largest = 0;
  for (const PolicyInfo& policy : PolicyList()) {
    if (policy.kind != PolicyKind::kSteering) continue;
    largest = std::max<size_t>(largest, SteeringMemoryBytes(policy.name, AppConfig{}.flows));
  }
  size_t bytes = kWithoutEntry * largest;
  for (const AppConfig& app : config.apps) {
    bytes += SteeringMemoryBytes(app.steering.empty() ? config.steering : app.steering, app.flows);
  }
  return bytes;
}

// A few descriptors for each app and connection.
void RaiseFileLimit() {
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) return;
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
}

int Refuse(const std::string& why) {
  LogError(why);
  return kExitRefused;
}

void Report(const Config& config, const PortInfo& port, Fallbacks& fallbacks) {
  char mac[18];
  std::snprintf(mac, sizeof mac, "%02x:%02x:%02x:%02x:%02x:%02x", port.mac[0], port.mac[1], port.mac[2], port.mac[3],
                port.mac[4], port.mac[5]);
  LogInfo("port " + port.name + " (" + port.driver + "), " + mac + ", MTU " + std::to_string(port.mtu));
  if (!port.capabilities.rss_hash) fallbacks.Add("the port gives no flow hash: Toeplitz in software");
  if (!port.capabilities.rx_l4_checksum) fallbacks.Add("the port checks no UDP and TCP checksums: apps do");
  std::string slots;
  for (const std::string& item : FormatCoreSlots(config.core_cpus)) slots += (slots.empty() ? "" : ", ") + item;
  LogInfo("loop on CPU " + std::to_string(config.loop_cpu) + "; " + std::to_string(config.core_cpus.size()) +
          " core slots on CPUs " + slots);
  if (config.shared_cpus) fallbacks.Add("core slots share a CPU: it works, and shows no policy at its best");
}

int RunDaemon(const Config& config, const MachineFacts& machine) {
  const Privileges privileges = CheckPrivileges(config);
  if (!privileges.missing.empty()) {
    for (const std::string& line : privileges.missing) LogError(line);
    return kExitRefused;
  }
  const FileDescriptor stop = CatchStopSignals();
  RaiseFileLimit();
  auto instance = Instance::Acquire(config.run_dir, config.port);
  if (!instance) {
    LogError(instance.error().sentence);
    return instance.error().in_use ? kExitUsage : kExitRefused;
  }
  Fallbacks fallbacks;
  for (const std::string& line : privileges.reduced) fallbacks.Add(line);
  const TscInfo tsc = MeasureTsc();
  if (!tsc.invariant) fallbacks.Add(tsc.note);
  const std::vector<uint16_t> shared_cpus = PlaceControlThread(config, machine, fallbacks);

  PortOptions port_options;
  port_options.config = config.port;
  port_options.unique = std::to_string(getpid());
  EalOptions eal_options;
  eal_options.memory_bytes = PortMemoryBytes(port_options) + SteeringMemory(config);
  eal_options.unique = port_options.unique;
  if (config.port.kind == PortKind::kPci) eal_options.pci_address = config.port.argument;
  const auto eal = Eal::Start(eal_options);
  if (!eal) return Refuse(eal.error());
  if ((*eal)->hugepages()) {
    LogInfo((*eal)->summary());
  } else {
    fallbacks.Add((*eal)->summary());
  }
  const auto port = OpenPort(port_options);
  if (!port) return Refuse(port.error());
  const PortInfo& info = (*port)->info();
  Report(config, info, fallbacks);

  FutexOptions futex;
  futex.core_cpus = config.core_cpus;
  futex.loop_cpu = config.loop_cpu;
  futex.overstay = tsc.rate.FromUs(kOverstayUs);
  const auto backend = MakeBackend(config.grant, futex);
  if (!backend) return Refuse(backend.error());
  fallbacks.Add(backend->note);

  LoopOptions loop_options;
  loop_options.allocator = MakeAllocatorOptions(config, info.numa_node, tsc.rate);
  loop_options.link.address = config.address;
  loop_options.link.routes = config.routes;
  loop_options.rate = tsc.rate;
  Loop loop(loop_options, **port, *backend->backend);
  LoopGateway gateway(loop);
  ServerOptions server_options;
  server_options.config = config;
  server_options.tsc_hz = tsc.rate.hz();
  server_options.mtu = info.mtu;
  server_options.port = port->get();

  // The server outlives the loop's thread: it owns the memory of the apps that the loop works on.
  std::atomic<bool> pinned{false}, placed{false};
  std::thread dataplane([&] {
    pthread_setname_np(pthread_self(), "sluice-loop");
    pinned = PinTo({config.loop_cpu});
    placed = true;
    placed.notify_one();
    if (pinned) loop.Run();
  });
  placed.wait(false);
  if (!pinned) {
    dataplane.join();
    return Refuse("the loop may not run on CPU " + std::to_string(config.loop_cpu) +
                  ": a cpuset forbids it; give --cpu");
  }
  IdleBurner burner;
  if (config.idle_burner && IsVirtualMachine()) {
    fallbacks.Add(burner.Start(config.core_cpus));
    LogInfo("idle burners on " + std::to_string(burner.threads()) + " CPUs");
  } else if (config.idle_burner) {
    fallbacks.Add("no idle burner: this is no virtual machine, so it would cost power and buy nothing");
  }
  RaiseControlThread(shared_cpus, fallbacks);
  server_options.fallbacks = fallbacks.lines();
  Server server(server_options, instance->control_fd(), stop.get(), gateway, *backend->backend);
  LogInfo("control socket " + config.run_dir + "/control");
  std::puts("ready");
  std::fflush(stdout);
  sd_notify(0, "READY=1");
  server.Run();
  sd_notify(0, "STOPPING=1");
  loop.Stop();
  dataplane.join();
  LogInfo("stopped");
  return kExitClean;
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) {
  using namespace sluice;
  const MachineFacts machine = ReadMachineFacts();
  const std::vector<const char*> arguments(argv + std::min(argc, 1), argv + argc);
  const CommandLine line = ParseCommandLine(arguments, machine);
  if (line.mode == CommandMode::kInvalid) {
    for (const std::string& error : line.errors) std::fprintf(stderr, "%s\n", error.c_str());
    return kExitUsage;
  }
  if (line.mode == CommandMode::kPrint) {
    std::fputs(line.output.c_str(), stdout);
    return std::fflush(stdout) == 0 ? kExitClean : kExitRefused;
  }
  return RunDaemon(line.config, machine);
}
