// command_line.h - the options that our programs share. Includes CLI11: for main.cc files only.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdio>
#include <optional>
#include <string>

#include "apps/lib/transport.h"

namespace sluice::apps {

inline constexpr int kBadUsage = 2;

// An empty sentence: the reason has been printed already.
inline int Fail(const char* program, const std::string& sentence, int status = 1) {
  if (!sentence.empty()) std::fprintf(stderr, "%s: %s\n", program, sentence.c_str());
  return status;
}

inline CLI::Option* AddEndpoint(CLI::App* app, const std::string& name, Endpoint* value, const std::string& help) {
  return app->add_option_function<std::string>(
      name,
      [name, value](const std::string& text) {
        const auto endpoint = ParseEndpoint(text);
        if (!endpoint) throw CLI::ValidationError(name, endpoint.error());
        *value = *endpoint;
      },
      help);
}

inline CLI::Option* AddNetwork(CLI::App* app, const std::string& name, std::optional<Network>* value,
                               const std::string& help) {
  return app->add_option_function<std::string>(
      name,
      [name, value](const std::string& text) {
        const auto network = ParseNetwork(text);
        if (!network) throw CLI::ValidationError(name, network.error());
        *value = *network;
      },
      help);
}

// Which transport, and what it needs.
struct TransportArguments {
  std::string name;
  TransportOptions options;
  std::string cpus;
  bool realtime = false;

  void AddTo(CLI::App* app, const std::string& default_transport) {
    name = default_transport;
    app->add_option("--transport", name, "sluice (libruntime) or linux (sockets)")->capture_default_str();
    app->add_option("--name", options.name, "sluice: this app's name in iokerneld's table");
    app->add_option("--sluice-run-dir", options.run_dir, "sluice: iokerneld's run directory");
    app->add_option("--address", options.address, "sluice: the address wished for");
    app->add_option("--kthreads", options.kthreads, "sluice: the most kthreads");
    app->add_option("--guaranteed", options.guaranteed, "sluice: guaranteed cores");
    app->add_flag("--best-effort", options.best_effort, "sluice: best-effort priority");
    app->add_option("--cpus", cpus, "linux: run on these CPUs only, such as 0,2-3");
    app->add_flag("--realtime", realtime, "linux: run as SCHED_FIFO, ahead of whom it shares the CPU with");
  }

  // Applies what concerns the process. Error: a sentence.
  [[nodiscard]] tl::expected<std::unique_ptr<Transport>, std::string> Make() const {
    if (!cpus.empty()) {
      if (auto pinned = PinToCpus(cpus); !pinned) return tl::unexpected(pinned.error());
    }
    if (realtime) {
      if (auto raised = RunRealtime(); !raised) return tl::unexpected(raised.error());
    }
    return MakeTransport(name, options);
  }
};

}  // namespace sluice::apps
