// config.h - what an operator may say, in TOML or by flags, and its defaults. Values only.
//
// Parsing and checking: config_parse.h. Every error is reported with file:line or the flag's name.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "iokernel/dataplane/settings.h"
#include "policies/views.h"

namespace sluice {

struct AppConfig {  // [[app]]
  std::string name;
  std::optional<uint32_t> address;
  uint16_t guaranteed = 0;  // 0: not said; an app may then wish for what is left
  uint16_t max = 0;         // 0: as many as there are core slots
  Priority priority = Priority::kLatencyCritical;
  std::string steering;  // empty: [policy] steering
  uint32_t flows = 700'000;
  uint32_t slice_us = 0;  // time slice of its uthreads; 0: none
  bool operator==(const AppConfig&) const = default;
};

struct Config {
  // [iokernel]
  PortConfig port;
  uint16_t loop_cpu = 0;            // the dedicated core
  std::vector<uint16_t> core_cpus;  // CPU of each core slot, by CoreId
  bool shared_cpus = false;         // some CPU carries more than one slot
  uint32_t interval_us = 5;
  std::string run_dir = "/run/sluice";
  std::string grant = "auto";  // auto, futex, ksched
  bool idle_burner = false;    // idle_burner.h
  // [policy]
  std::string steering = "rss";
  std::string pick = "memoized";
  std::string congestion = "standing-queue";
  std::string placement = "simple";
  // [net]
  std::optional<Ipv4Net> address;  // the IOKernel's own, with its network: apps take addresses from it
  std::vector<RouteConfig> routes;
  // [[app]]
  std::vector<AppConfig> apps;
  bool operator==(const Config&) const = default;
};

}  // namespace sluice
