#include "apps/simulator/engine/run.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <utility>

#include "apps/simulator/engine/machine.h"
#include "apps/simulator/engine/reference.h"
#include "policies/registry.h"

namespace sluice::sim {
namespace {

// The app's rate, from whatever says it.
tl::expected<double, std::string> RateOf(const AppPlan& app, uint16_t cores) {
  if (app.arrivals.has_own_rate()) return app.arrivals.rate_per_second();
  if (app.rate > 0) return app.rate;
  if (app.load <= 0) return tl::unexpected("app \"" + app.name + "\": a load or a rate above 0 is wanted");
  if (app.service.Mean() == 0) return tl::unexpected("app \"" + app.name + "\": a load of requests that take no time");
  return app.load * cores * static_cast<double>(kSecond) / app.service.Mean();
}

bool IsName(std::string_view name) {
  return !name.empty() && name.size() <= 32 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
}

tl::unexpected<std::string> Refuse(std::string why) { return tl::unexpected(std::move(why)); }

std::string UsText(Time time) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6gus", ToUs(time));
  return text;
}

}  // namespace

tl::expected<void, std::string> CheckPlan(const RunPlan& plan) {
  if (plan.cores < 1 || plan.cores > kMaxCores) return Refuse("--cores: 1 to 1024 are possible");
  if (plan.requests < 1) return Refuse("--requests: at least one is wanted");
  if (!(plan.warm_up >= 0 && plan.warm_up < 1)) return Refuse("--warm-up: a share from 0 to below 1 is wanted");
  if (plan.interval < kNs) return Refuse("--interval: at least 1ns is wanted");
  if (plan.nodes < 1 || plan.nodes > plan.cores) return Refuse("nodes: from 1 to the number of cores");
  if (plan.apps.size() > 64) return Refuse("more than 64 apps");
  if (std::none_of(plan.apps.begin(), plan.apps.end(), [](const AppPlan& app) { return app.gets_requests; })) {
    return Refuse("no app gets requests: nothing says how long to simulate");
  }
  for (const AppPlan& app : plan.apps) {
    if (!IsName(app.name))
      return tl::unexpected("an app's name is up to 32 letters, digits, '-', '_': \"" + app.name + '"');
    if (app.max_cores > plan.cores) return tl::unexpected("app \"" + app.name + "\": more cores than there are");
    if (app.gets_requests) {
      if (const auto rate = RateOf(app, plan.cores); !rate) return tl::unexpected(rate.error());
    }
  }
  if (plan.scheduler != "sluice") {
    if (const auto reference = ParseReference(plan.scheduler); !reference) return tl::unexpected(reference.error());
  }
  for (const auto& [kind, name] : {std::pair{PolicyKind::kSteering, &plan.steering},
                                   {PolicyKind::kPick, &plan.pick},
                                   {PolicyKind::kCongestion, &plan.congestion},
                                   {PolicyKind::kPlacement, &plan.placement}}) {
    if (!IsPolicy(kind, *name)) return tl::unexpected(UnknownPolicy(kind, *name));
  }
  for (const AppPlan& app : plan.apps) {
    if (app.slice == 0 || app.slice >= plan.interval) continue;
    return tl::unexpected("--slice: app \"" + app.name + "\": got " + UsText(app.slice) +
                          ", allowed: 0, none, or at least the " + UsText(plan.interval) +
                          " of --interval, for turns end at the allocator's passes");
  }
  return {};
}

// The rule of iokernel/control/config_check.cc.
std::string DaemonRefuses(const RunPlan& plan) {
  for (const AppPlan& app : plan.apps) {
    if (plan.scheduler != "sluice" || app.slice == 0 || app.slice >= kLeastSliceUs * kUs) continue;
    return "iokerneld would refuse a time slice of " + UsText(app.slice) + ": at least " + UsText(kLeastSliceUs * kUs) +
           ", for a turn ends only after two passes have seen somebody wait";
  }
  return {};
}

tl::expected<RunResult, std::string> Simulate(const RunPlan& plan, const Watch& watch) {
  if (auto checked = CheckPlan(plan); !checked) return tl::unexpected(checked.error());
  std::vector<Load> loads;
  std::vector<double> rates;
  std::vector<uint32_t> flows;
  std::vector<bool> best_effort;
  for (const AppPlan& app : plan.apps) {
    Load load{.arrivals = app.arrivals, .service = app.service, .flows = app.flows, .none = !app.gets_requests};
    const double rate = app.gets_requests ? *RateOf(app, plan.cores) : 0;
    if (app.gets_requests && !app.arrivals.has_own_rate()) load.arrivals.SetRate(rate);
    loads.push_back(std::move(load));
    rates.push_back(rate);
    flows.push_back(app.flows);
    best_effort.push_back(app.priority == Priority::kBestEffort);
  }
  const auto warm_up = static_cast<uint32_t>(std::floor(plan.warm_up * plan.requests));
  RunResult result{.ledger = Ledger(plan.cores, plan.requests, warm_up, flows, plan.window), .rates = rates};
  RequestStream stream(std::move(loads), plan.requests, plan.seed, watch.progress);
  const auto start = std::chrono::steady_clock::now();
  if (plan.scheduler == "sluice") {
    auto machine = Machine::Make(plan, stream, result.ledger, watch.timeline);
    if (machine && watch.log != nullptr) (*machine)->Record(watch.log);
    if (!machine) return tl::unexpected(machine.error());
    (*machine)->Run();
    result.machine = (*machine)->Figures();
  } else {
    const auto reference = ParseReference(plan.scheduler);
    result.machine.events = RunReference(*reference, plan.cores, best_effort, plan.seed, stream, result.ledger);
    result.machine.end = result.ledger.all().at;
  }
  result.wall_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

}  // namespace sluice::sim
