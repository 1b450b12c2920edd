// memif_netperf.cc - netperf's UDP_RR from a host behind a memif: what an echo costs without Linux's network stack.
//
//   iokerneld --port memif:/tmp/echo.sock ... &  netperf server --transport sluice ... &
//   memif_netperf --socket /tmp/echo.sock --target 10.0.0.2:7001 --cpus 1
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <random>

#include "apps/lib/command_line.h"
#include "apps/netperf/request_reply.h"
#include "iokernel/dataplane/eal.h"
#include "tests/bench/dataplane/memif_socket.h"

namespace sluice::bench {
namespace {

constexpr const char* kProgram = "memif_netperf";
constexpr uint32_t kAddress = 10u << 24 | 9;  // 10.0.0.9, the client of our experiments

struct Arguments {
  std::string socket;
  std::string cpus;
  apps::NetperfOptions netperf;
  std::string json = "-";
};

tl::expected<std::string, std::string> Measure(const Arguments& arguments) {
  EalOptions environment;
  environment.memory_bytes = PortMemoryBytes({});
  environment.unique = "memif" + std::to_string(getpid());
  auto eal = Eal::Start(environment);
  if (!eal) return tl::unexpected(eal.error());
  auto socket = MemifSocket::Open(arguments.socket, kAddress);
  if (!socket) return tl::unexpected(socket.error());
  const apps::NetperfOptions& options = arguments.netperf;
  if (auto resolved = (*socket)->Resolve(options.target.address); !resolved) return tl::unexpected(resolved.error());
  const auto seconds = [](double s) {
    return std::chrono::duration_cast<apps::Clock::duration>(std::chrono::duration<double>(s));
  };
  const auto begin = apps::Clock::now() + seconds(options.warmup);
  apps::RequestReply test(**socket, options, begin, begin + seconds(options.seconds), std::random_device()());
  test.Run();
  apps::RunCounts counts;
  counts.seconds = options.seconds;
  counts.planned = counts.sent = test.counts().sent;
  counts.received = test.counts().received;
  return apps::ResultJson(counts, test.counts().latency_ns,
                          {{"test", "\"UDP_RR\""},
                           {"client_transport", "\"memif\""},
                           {"threads", "1"},
                           {"outstanding", std::to_string(options.outstanding)},
                           {"request_bytes", std::to_string(options.bytes)}});
}

int Main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app("memif_netperf - UDP_RR from 10.0.0.9, a host behind a memif");
  app.add_option("--socket", arguments.socket, "iokerneld's memif")->required();
  apps::AddEndpoint(&app, "--target", &arguments.netperf.target, "ADDRESS:PORT of the server")->required();
  app.add_option("--cpus", arguments.cpus, "run on these CPUs only");
  app.add_option("--outstanding", arguments.netperf.outstanding, "requests in flight")->check(CLI::Range(1, 10'000));
  app.add_option("--bytes", arguments.netperf.bytes, "payload")->check(CLI::Range(size_t{32}, apps::kMaxDatagram));
  app.add_option("--seconds", arguments.netperf.seconds, "measured time")->check(CLI::Range(0.01, 3600.0));
  app.add_option("--json", arguments.json, "file of the result");
  CLI11_PARSE(app, argc, argv);
  if (!arguments.cpus.empty()) {
    if (auto pinned = apps::PinToCpus(arguments.cpus); !pinned) return apps::Fail(kProgram, pinned.error());
  }
  apps::CatchStopSignals();
  const auto result = Measure(arguments);
  if (!result) return apps::Fail(kProgram, result.error());
  return apps::WriteText(arguments.json, *result) ? 0 : apps::Fail(kProgram, arguments.json + " cannot be written");
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) { return sluice::bench::Main(argc, argv); }
