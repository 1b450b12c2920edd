#include "apps/simulator/options.h"

#include <cmath>

#include "apps/lib/parse.h"
#include "apps/simulator/scenario.h"
#include "policies/registry.h"

namespace sluice::sim {
namespace {

// "1e7", "250000".
tl::expected<uint32_t, std::string> ParseCount(const std::string& text) {
  const auto number = apps::ParseNumber(text);
  if (!number || *number < 1 || *number > 4e9 || *number != std::floor(*number)) {
    return tl::unexpected("--requests: got '" + text + "', allowed is a whole number from 1 to 4e9, such as 1e7");
  }
  return static_cast<uint32_t>(*number);
}

// Sets *value to what parses, if anything was typed.
template <class Parse, class T>
tl::expected<void, std::string> Set(const std::string& text, Parse&& parse, T* value, const char* flag) {
  if (text.empty()) return {};
  auto parsed = parse(text);
  if (!parsed) return tl::unexpected(std::string(flag) + ": " + parsed.error());
  *value = std::move(*parsed);
  return {};
}

void SetName(const std::string& text, std::string* value) {
  if (!text.empty()) *value = text;
}

}  // namespace

void RunOptions::AddTo(CLI::App* command) {
  command->add_option("--scenario", scenario, "TOML file: several apps, batch work, bursts, slices; flags override it");
  command->add_option("--cores", cores, "managed cores, 1 to 1024 (16)")->check(CLI::Range(1, 1024));
  command->add_option("--arrivals", arrivals, "poisson, uniform, bursts:100k:5M:1s, trace:FILE (poisson)");
  command->add_option(
      "--service", service,
      "const:10us, exp:1us, bimodal:0.995:0.5us:500us, lognormal:MEAN:CV, mix:WEIGHT:TIME,..., trace:FILE");
  command->add_option("--load", load, "offered work as a share of all cores")->check(CLI::Range(1e-6, 100.0));
  command->add_option("--rate", rate, "requests per second, in the place of a load")->check(CLI::Range(1e-3, 1e12));
  command->add_option("--scheduler", scheduler, "c-fcfs, d-fcfs, jsq:D, steal, steal:N, ps:SLICE, sluice (sluice)");
  command->add_option("--steering", steering, "sluice: steering policy (rss)");
  command->add_option("--pick", pick, "sluice: pick policy (memoized)");
  command->add_option("--congestion", congestion, "sluice: congestion policy, NAME[:PARAMETERS] (standing-queue)");
  command->add_option("--placement", placement, "sluice: placement policy (simple)");
  command->add_option("--interval", interval, "sluice: between passes of the allocator (5us)");
  command->add_option("--idle-spin", idle_spin, "sluice: how long a kthread looks for work before it parks (5us)");
  command->add_option("--slice", slice, "sluice: uthread time slice; 0: none (0)");
  command->add_option("--profile", profile, "sluice: costs, as `simulator calibrate` writes them");
  command->add_flag("--install-flows", install_flows,
                    "sluice: flows are in the steering table before the first packet");
  flows_given = command->add_option("--flows", flows, "flows; 0: every request is of a flow of its own (10000)");
  command->add_option("--requests", requests, "how many, such as 1e7 (1e6)");
  command->add_option("--warm-up", warm_up, "share of the requests that is not counted (0.1)")
      ->check(CLI::Range(0.0, 0.99));
  command->add_option("--window", window, "latencies over time: figures for each so long, in the JSON's \"series\"");
  seed_given = command->add_option("--seed", seed, "of all random numbers (1)");
}

tl::expected<RunPlan, std::string> RunOptions::Plan() const {
  RunPlan plan;
  if (scenario.empty()) {
    AppPlan app;
    app.guaranteed = 1;
    app.service = ServiceTime::Parse("exp:1us").value();
    app.load = 0.8;
    plan.apps.push_back(std::move(app));
  } else {
    auto read = ReadScenario(scenario);
    if (!read) return tl::unexpected(read.error());
    plan = std::move(*read);
  }
  if (cores != 0) plan.cores = static_cast<uint16_t>(cores);
  SetName(scheduler, &plan.scheduler);
  SetName(steering, &plan.steering);
  SetName(pick, &plan.pick);
  SetName(congestion, &plan.congestion);
  SetName(placement, &plan.placement);
  if (warm_up >= 0) plan.warm_up = warm_up;
  if (seed_given->count() > 0) plan.seed = seed;
  // What is sent concerns the first app that is sent anything.
  AppPlan* app = &plan.apps.front();
  for (AppPlan& other : plan.apps) {
    if (!app->gets_requests && other.gets_requests) app = &other;
  }
  if (load > 0) {
    app->load = load;
    app->rate = 0;
  }
  if (rate > 0) app->rate = rate;
  if (flows_given->count() > 0) app->flows = flows;
  if (install_flows) app->install_flows = true;
  tl::expected<void, std::string> set = Set(arrivals, ArrivalProcess::Parse, &app->arrivals, "--arrivals");
  if (set) set = Set(service, ServiceTime::Parse, &app->service, "--service");
  if (set) set = Set(slice, ParseTime, &app->slice, "--slice");
  if (set) set = Set(interval, ParseTime, &plan.interval, "--interval");
  if (set) set = Set(idle_spin, ParseTime, &plan.idle_spin, "--idle-spin");
  if (set) set = Set(window, ParseTime, &plan.window, "--window");
  if (set) set = Set(profile, ReadCosts, &plan.costs, "--profile");
  if (!requests.empty()) {
    const auto count = ParseCount(requests);
    if (!count) return tl::unexpected(count.error());
    plan.requests = *count;
  }
  if (!set) return tl::unexpected(set.error());
  if (auto checked = CheckPlan(plan); !checked) return tl::unexpected(checked.error());
  return plan;
}

uint64_t TableBytes(const RunPlan& plan) {
  uint64_t bytes = 0;
  if (plan.scheduler != "sluice") return 0;
  for (const AppPlan& app : plan.apps) bytes += SteeringMemoryBytes(plan.steering, std::max(1u, app.flows));
  return bytes;
}

}  // namespace sluice::sim
