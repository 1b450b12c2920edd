// main.cc - synthetic: a server that spins for as long as it is asked to, and an open-loop load generator.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <random>

#include "apps/lib/command_line.h"
#include "apps/lib/result.h"
#include "apps/synthetic/client.h"
#include "apps/synthetic/server.h"

namespace sluice::apps {
namespace {

std::string Json(const std::string& text) { return nlohmann::json(text).dump(); }

struct Arguments {
  TransportArguments transport;
  ServerOptions server;
  ClientOptions client;
  std::string service = "const:0";
  std::string arrivals = "poisson";
  std::string json;
  double seconds = 5;
  double warmup = 1;
  uint32_t drain_ms = 1000;
};

int Server(const Arguments& arguments) {
  auto transport = arguments.transport.Make();
  if (!transport) return Fail("synthetic", transport.error());
  return (*transport)->Run([&] {
    const auto counts = RunServer(**transport, arguments.server);
    if (!counts) return Fail("synthetic", counts.error());
    std::printf("synthetic: served %lu, malformed %lu\n", counts->served, counts->malformed);
    return 0;
  });
}

int Report(const Arguments& arguments, const tl::expected<ClientResult, std::string>& result) {
  if (!result) return Fail("synthetic", result.error());
  const std::string text = ResultJson(result->counts, result->latency_ns,
                                      {{"arrivals", Json(arguments.arrivals)},
                                       {"flows", std::to_string(arguments.client.load.flows)},
                                       {"request_bytes", std::to_string(arguments.client.request_bytes)},
                                       {"seed", std::to_string(arguments.client.load.seed)},
                                       {"service", Json(arguments.service)},
                                       {"client_transport", Json(arguments.transport.name)},
                                       {"warmup_seconds", nlohmann::json(arguments.warmup).dump()}});
  if (!WriteText(arguments.json.empty() ? "-" : arguments.json, text)) {
    return Fail("synthetic", "--json " + arguments.json + ": " + std::strerror(errno));
  }
  return result->counts.received == 0 ? Fail("synthetic", "no reply came from " + ToString(arguments.client.target))
                                      : 0;
}

int Client(Arguments& arguments) {
  ClientOptions& options = arguments.client;
  const auto service = ServiceTime::Parse(arguments.service);
  if (!service) return Fail("synthetic", "--service: " + service.error(), kBadUsage);
  options.load.service = *service;
  options.load.arrivals = arguments.arrivals == "uniform" ? ArrivalKind::kUniform : ArrivalKind::kPoisson;
  options.load.measured_ns = static_cast<uint64_t>(arguments.seconds * 1e9);
  options.load.warmup_ns = static_cast<uint64_t>(arguments.warmup * 1e9);
  options.drain_ns = uint64_t{arguments.drain_ms} * 1'000'000;
  options.load.run = std::random_device()();
  auto transport = arguments.transport.Make();
  if (!transport) return Fail("synthetic", transport.error());
  if ((*transport)->name() == "linux") return Report(arguments, RunLinuxClient(options));
  return (*transport)->Run([&] { return Report(arguments, RunThreadedClient(**transport, options)); });
}

int Main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app("synthetic - requests of a given service time, and an open-loop load of them");
  app.require_subcommand(1);

  CLI::App* server = app.add_subcommand("server", "serve until SIGINT or SIGTERM");
  arguments.transport.AddTo(server, "sluice");
  server->add_option("--port", arguments.server.port, "UDP port")->capture_default_str();
  server->add_option("--workers", arguments.server.workers, "linux: threads, each with a socket")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();

  CLI::App* client = app.add_subcommand("client", "send an open-loop load and measure from the intended send time");
  ClientOptions& options = arguments.client;
  arguments.transport.AddTo(client, "linux");
  AddEndpoint(client, "--target", &options.target, "ADDRESS:PORT of the server")->required();
  client->add_option("--rate", options.load.rate, "requests per second")
      ->check(CLI::Range(0.1, 1e8))
      ->capture_default_str();
  client->add_option("--flows", options.load.flows, "flows: source addresses times ports")
      ->check(CLI::Range(1, 16'000'000))
      ->capture_default_str();
  AddNetwork(client, "--sources", &options.sources, "network of source addresses, routed to this host");
  client->add_option("--source-port", options.first_port, "first source port")->capture_default_str();
  client->add_option("--seconds", arguments.seconds, "measured time")->check(CLI::Range(0.01, 3600.0));
  client->add_option("--warmup", arguments.warmup, "uncounted time before")->check(CLI::Range(0.0, 3600.0));
  client->add_option("--drain-ms", arguments.drain_ms, "how long to wait for the last replies")
      ->check(CLI::Range(0, 60'000))
      ->capture_default_str();
  client->add_option("--service", arguments.service, "const:10us, exp:10us, bimodal:0.995:0.5us:500us")
      ->capture_default_str();
  client->add_option("--arrivals", arguments.arrivals, "poisson or uniform")
      ->check(CLI::IsMember({"poisson", "uniform"}))
      ->capture_default_str();
  client->add_option("--bytes", options.request_bytes, "payload of a request")
      ->check(CLI::Range(sizeof(Message), kMaxDatagram))
      ->capture_default_str();
  client->add_option("--seed", options.load.seed, "of arrivals, flows and service times")->capture_default_str();
  client->add_flag("--spin", options.spin, "never sleep; for a client with a CPU of its own");
  client->add_option("--json", arguments.json, "file of the result; the standard output by default");

  CLI11_PARSE(app, argc, argv);
  CatchStopSignals();
  return server->parsed() ? Server(arguments) : Client(arguments);
}

}  // namespace
}  // namespace sluice::apps

int main(int argc, char** argv) { return sluice::apps::Main(argc, argv); }
