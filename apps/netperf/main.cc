// main.cc - netperf: UDP_RR and UDP_STREAM between two of its kind, on libruntime or on Linux sockets.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>

#include "apps/lib/command_line.h"
#include "apps/netperf/client.h"
#include "apps/netperf/protocol.h"
#include "apps/netperf/server.h"

namespace sluice::apps {
namespace {

constexpr const char* kProgram = "netperf";

struct Arguments {
  TransportArguments transport;
  uint16_t port = 7001;
  size_t workers = 1;
  NetperfOptions client;
  std::string test = "UDP_RR";
  std::string json;
};

int Server(const Arguments& arguments) {
  auto transport = arguments.transport.Make();
  if (!transport) return Fail(kProgram, transport.error());
  return (*transport)->Run([&] {
    const auto end = RunNetperfServer(**transport, arguments.port, arguments.workers);
    return end ? 0 : Fail(kProgram, end.error());
  });
}

int Report(const Arguments& arguments, const tl::expected<NetperfResult, std::string>& result) {
  if (!result) return Fail(kProgram, result.error());
  const NetperfOptions& options = arguments.client;
  std::map<std::string, std::string> facts = {{"test", nlohmann::json(arguments.test).dump()},
                                              {"client_transport", nlohmann::json(arguments.transport.name).dump()},
                                              {"threads", std::to_string(options.threads)},
                                              {"outstanding", std::to_string(options.outstanding)},
                                              {"request_bytes", std::to_string(options.bytes)}};
  if (arguments.test == "UDP_STREAM") {
    const double gbit = static_cast<double>(result->stream_bytes) * 8 / 1e9 / options.seconds;
    facts["received_gbit_per_second"] = nlohmann::json(gbit).dump();
  }
  if (!WriteText(arguments.json.empty() ? "-" : arguments.json,
                 ResultJson(result->counts, result->latency_ns, facts))) {
    return Fail(kProgram, "--json " + arguments.json + ": " + std::strerror(errno));
  }
  return result->counts.received == 0 ? Fail(kProgram, "nothing came back from " + ToString(options.target)) : 0;
}

int Client(const Arguments& arguments) {
  auto transport = arguments.transport.Make();
  if (!transport) return Fail(kProgram, transport.error());
  return (*transport)->Run([&] {
    return Report(arguments, arguments.test == "UDP_RR" ? RunUdpRr(**transport, arguments.client)
                                                        : RunUdpStream(**transport, arguments.client));
  });
}

int Main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app("netperf - UDP_RR and UDP_STREAM, on libruntime or on Linux sockets");
  app.require_subcommand(1);

  CLI::App* server = app.add_subcommand("server", "serve until SIGINT or SIGTERM");
  arguments.transport.AddTo(server, "sluice");
  server->add_option("--port", arguments.port, "UDP port")->capture_default_str();
  server->add_option("--workers", arguments.workers, "linux: threads, each with a socket")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();

  CLI::App* client = app.add_subcommand("client", "run a test against a server");
  NetperfOptions& options = arguments.client;
  arguments.transport.AddTo(client, "linux");
  AddEndpoint(client, "--target", &options.target, "ADDRESS:PORT of the server")->required();
  client->add_option("--test", arguments.test, "UDP_RR or UDP_STREAM")
      ->check(CLI::IsMember({"UDP_RR", "UDP_STREAM"}))
      ->capture_default_str();
  client->add_option("--threads", options.threads, "client threads")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  client->add_option("--outstanding", options.outstanding, "UDP_RR: requests in flight per thread")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  client->add_option("--bytes", options.bytes, "payload of a datagram")
      ->check(CLI::Range(sizeof(Header), kMaxDatagram))
      ->capture_default_str();
  client->add_option("--seconds", options.seconds, "measured time")
      ->check(CLI::Range(0.01, 3600.0))
      ->capture_default_str();
  client->add_option("--warmup", options.warmup, "UDP_RR: uncounted time before")
      ->check(CLI::Range(0.0, 3600.0))
      ->capture_default_str();
  client->add_option("--json", arguments.json, "file of the result; the standard output by default");

  CLI11_PARSE(app, argc, argv);
  CatchStopSignals();
  return server->parsed() ? Server(arguments) : Client(arguments);
}

}  // namespace
}  // namespace sluice::apps

int main(int argc, char** argv) { return sluice::apps::Main(argc, argv); }
