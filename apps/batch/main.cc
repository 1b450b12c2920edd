// main.cc - batch: keeps busy with work that nobody waits for, and counts it. On libruntime it is best-effort: it
// runs on the cores that nobody needs, and gives them up at once.
#include <CLI/CLI.hpp>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <vector>

#include "apps/lib/command_line.h"
#include "apps/lib/result.h"
#include "apps/lib/service.h"

namespace sluice::apps {
namespace {

constexpr const char* kProgram = "batch";

struct Arguments {
  TransportArguments transport;
  size_t threads = 4;
  double seconds = 0;
  double operation_us = 10;
  std::string json;
};

struct alignas(64) Count {
  std::atomic<uint64_t> operations{0};
};

int Work(Transport& transport, const Arguments& arguments) {
  const Spinner spinner = Spinner::Calibrate();
  std::vector<Count> counts(arguments.threads);
  const Clock::time_point start = Clock::now();
  const auto length = std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(arguments.seconds));
  const auto operation_ns = static_cast<uint64_t>(arguments.operation_us * 1e3);
  std::printf("batch: working\n");
  std::fflush(stdout);
  for (Count& count : counts) {
    transport.Spawn([&] {
      while (!StopRequested() && (arguments.seconds == 0 || Clock::now() - start < length)) {
        spinner.Spin(operation_ns);
        count.operations.fetch_add(1, std::memory_order_relaxed);
        transport.Yield();
      }
    });
  }
  transport.JoinAll();

  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  uint64_t operations = 0;
  for (const Count& count : counts) operations += count.operations.load(std::memory_order_relaxed);
  const nlohmann::ordered_json json = {{"transport", transport.name()},
                                       {"threads", arguments.threads},
                                       {"operation_us", arguments.operation_us},
                                       {"seconds", seconds},
                                       {"operations", operations},
                                       {"operations_per_second", static_cast<double>(operations) / seconds}};
  if (!WriteText(arguments.json.empty() ? "-" : arguments.json, json.dump())) {
    return Fail(kProgram, "--json " + arguments.json + ": " + std::strerror(errno));
  }
  return 0;
}

int Main(int argc, char** argv) {
  Arguments arguments;
  arguments.transport.options.best_effort = true;
  CLI::App app("batch - work that nobody waits for, counted; best-effort on libruntime");
  arguments.transport.AddTo(&app, "sluice");
  app.add_option("--threads", arguments.threads, "threads that work")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  app.add_option("--seconds", arguments.seconds, "how long; 0: until SIGINT or SIGTERM")
      ->check(CLI::Range(0.0, 86400.0));
  app.add_option("--operation-us", arguments.operation_us, "length of an operation")
      ->check(CLI::Range(0.1, 1e6))
      ->capture_default_str();
  app.add_option("--json", arguments.json, "file of the result; the standard output by default");
  CLI11_PARSE(app, argc, argv);
  CatchStopSignals();
  auto transport = arguments.transport.Make();
  if (!transport) return Fail(kProgram, transport.error());
  return (*transport)->Run([&] { return Work(**transport, arguments); });
}

}  // namespace
}  // namespace sluice::apps

int main(int argc, char** argv) { return sluice::apps::Main(argc, argv); }
