#include "apps/simulator/options.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include "apps/lib/parse.h"
#include "apps/simulator/scenario.h"
#include "policies/registry.h"

namespace sluice::sim {
namespace {

tl::unexpected<std::string> Wrong(const std::string& text, const std::string& allowed) {
  return tl::unexpected("got '" + text + "', allowed is " + allowed);
}

// An option whose value is what `parse` makes of the text.
template <class Parse, class T>
CLI::Option* Add(CLI::App* command, const std::string& flag, Parse parse, std::optional<T>* value,
                 const std::string& help) {
  const auto read = [flag, parse, value](const std::string& text) {
    auto parsed = parse(text);
    if (!parsed) throw CLI::ValidationError(flag, parsed.error());
    *value = std::move(*parsed);
  };
  return command->add_option_function<std::string>(flag, read, help);
}

auto Number(double least, double most, const std::string& allowed) {
  return [=](const std::string& text) -> tl::expected<double, std::string> {
    const auto number = apps::ParseNumber(text);
    if (!number || *number < least || *number > most) return Wrong(text, allowed);
    return *number;
  };
}

auto Whole(uint64_t least, uint64_t most) {
  return [=](const std::string& text) -> tl::expected<uint64_t, std::string> {
    uint64_t number = 0;
    const char* end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data(), end, number);
    if (parsed.ec != std::errc() || parsed.ptr != end || number < least || number > most) {
      return Wrong(text, "a whole number from " + std::to_string(least) + " to " + std::to_string(most));
    }
    return number;
  };
}

// "1e7", "250000".
tl::expected<uint64_t, std::string> ParseCount(const std::string& text) {
  const auto number = apps::ParseNumber(text);
  if (!number || *number < 1 || *number > 4e9 || *number != std::floor(*number)) {
    return Wrong(text, "a whole number from 1 to 4e9, such as 1e7");
  }
  return static_cast<uint64_t>(*number);
}

template <class T, class U>
void Set(const std::optional<T>& typed, U* value) {
  if (typed) *value = static_cast<U>(*typed);
}

}  // namespace

CLI::Option* AddName(CLI::App* command, const std::string& flag, std::optional<std::string>* value,
                     const std::string& help) {
  const auto parse = [](const std::string& text) -> tl::expected<std::string, std::string> {
    if (text.empty()) return Wrong(text, "a name");
    return text;
  };
  return Add(command, flag, parse, value, help);
}

void RunOptions::AddTo(CLI::App* command) {
  AddName(command, "--scenario", &scenario, "TOML file: several apps, batch work, bursts, slices; flags override it");
  Add(command, "--cores", Whole(1, kMaxCores), &cores, "managed cores, 1 to 1024 (16)");
  Add(command, "--arrivals", ArrivalProcess::Parse, &arrivals,
      "poisson, uniform, bursts:100k:5M:1s, trace:FILE (poisson)");
  Add(command, "--service", ServiceTime::Parse, &service,
      "const:10us, exp:1us, bimodal:0.995:0.5us:500us, lognormal:MEAN:CV, mix:WEIGHT:TIME,..., trace:FILE (exp:1us)");
  Add(command, "--load", Number(1e-6, 100, "a number from 1e-6 to 100"), &load,
      "offered work as a share of all cores (0.8)");
  Add(command, "--rate", Number(1e-3, 1e12, "a number from 1e-3 to 1e12"), &rate,
      "requests per second, in the place of a load");
  AddName(command, "--scheduler", &scheduler, "c-fcfs, d-fcfs, jsq:D, steal, steal:N, ps:SLICE, sluice (sluice)");
  AddName(command, "--steering", &steering, "sluice: steering policy (rss)");
  AddName(command, "--pick", &pick, "sluice: pick policy (memoized)");
  AddName(command, "--congestion", &congestion, "sluice: congestion policy, NAME[:PARAMETERS] (standing-queue)");
  AddName(command, "--placement", &placement, "sluice: placement policy (simple)");
  Add(command, "--interval", ParseTime, &interval, "sluice: between passes of the allocator (5us)");
  Add(command, "--idle-spin", ParseTime, &idle_spin, "sluice: how long a kthread looks for work before it parks (5us)");
  Add(command, "--slice", ParseTime, &slice, "sluice: uthread time slice; 0: none (0)");
  AddName(command, "--profile", &profile, "sluice: costs, as `simulator calibrate` writes them");
  command->add_flag("--install-flows", install_flows,
                    "sluice: flows are in the steering table before the first packet");
  Add(command, "--flows", Whole(0, 100'000'000), &flows, "flows; 0: every request is of a flow of its own (10000)");
  Add(command, "--requests", ParseCount, &requests, "how many, such as 1e7 (1e6)");
  Add(command, "--warm-up", Number(0, 0.99, "a number from 0 to 0.99"), &warm_up,
      "share of the requests that is not counted (0.1)");
  Add(command, "--window", ParseTime, &window,
      "latencies over time: figures for each so long, in the JSON's \"series\"");
  Add(command, "--seed", Whole(0, UINT64_MAX), &seed, "of all random numbers (1)");
}

// Of arrivals with a rate of their own, a load and a rate, one says how many requests come.
tl::expected<void, std::string> RunOptions::SetLoad(AppPlan* app) const {
  if (load && rate)
    return tl::unexpected(std::string("--load with --rate: both say how many requests come; give one of them"));
  Set(arrivals, &app->arrivals);
  if (app->arrivals.has_own_rate()) {
    if (load || rate) {
      return tl::unexpected(std::string(load ? "--load" : "--rate") + " with arrivals " + app->arrivals.text() +
                            ", which say themselves how many requests come; poisson and uniform take one");
    }
    app->load = app->rate = 0;
  }
  if (load || rate) {
    app->load = load.value_or(0);
    app->rate = rate.value_or(0);
  }
  return {};
}

// Policy names and costs go with any scheduler, so that a sweep may set the ideals beside `sluice`.
tl::expected<void, std::string> RunOptions::RefuseWhatHasNoEffect(const RunPlan& plan, const AppPlan& app) const {
  for (const auto& [given, flag] : {std::pair{interval.has_value(), "--interval"},
                                    {idle_spin.has_value(), "--idle-spin"},
                                    {slice.has_value(), "--slice"},
                                    {install_flows, "--install-flows"}}) {
    if (given && plan.scheduler != "sluice") {
      return tl::unexpected(std::string(flag) + " has no effect on the scheduler " + plan.scheduler +
                            ", only on sluice");
    }
  }
  if (install_flows && (SteeringMemoryBytes(plan.steering, 1) == 0 || app.flows == 0)) {
    return tl::unexpected("--install-flows has no effect with --steering " + plan.steering + " and " +
                          std::to_string(app.flows) + " flows: flow-affinity and its hybrid keep them in a table");
  }
  return {};
}

tl::expected<RunPlan, std::string> RunOptions::Plan() const {
  RunPlan plan;
  if (scenario) {
    auto read = ReadScenario(*scenario);
    if (!read) return tl::unexpected(read.error());
    plan = std::move(*read);
  } else {
    AppPlan app;
    app.guaranteed = 1;
    app.service = ServiceTime::Parse("exp:1us").value();
    app.load = 0.8;
    plan.apps.push_back(std::move(app));
  }
  Set(cores, &plan.cores);
  Set(scheduler, &plan.scheduler);
  Set(steering, &plan.steering);
  Set(pick, &plan.pick);
  Set(congestion, &plan.congestion);
  Set(placement, &plan.placement);
  Set(interval, &plan.interval);
  Set(idle_spin, &plan.idle_spin);
  Set(requests, &plan.requests);
  Set(warm_up, &plan.warm_up);
  Set(window, &plan.window);
  Set(seed, &plan.seed);
  if (profile) {
    auto costs = ReadCosts(*profile);
    if (!costs) return tl::unexpected("--profile: " + costs.error());
    plan.costs = *costs;
    plan.profile = *profile;
  }
  AppPlan& app = plan.apps[plan.MainApp()];
  if (auto set = SetLoad(&app); !set) return tl::unexpected(set.error());
  Set(service, &app.service);
  Set(flows, &app.flows);
  Set(slice, &app.slice);
  if (install_flows) app.install_flows = true;
  if (auto checked = CheckPlan(plan); !checked) return tl::unexpected(checked.error());
  if (auto refused = RefuseWhatHasNoEffect(plan, app); !refused) return tl::unexpected(refused.error());
  return plan;
}

uint64_t TableBytes(const RunPlan& plan) {
  uint64_t bytes = 0;
  if (plan.scheduler != "sluice") return 0;
  for (const AppPlan& app : plan.apps) bytes += SteeringMemoryBytes(plan.steering, std::max(1u, app.flows));
  return bytes;
}

}  // namespace sluice::sim
