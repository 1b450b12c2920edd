#include "apps/simulator/engine/run.h"

#include <chrono>
#include <cmath>

#include "apps/simulator/engine/reference.h"

namespace sluice::sim {
namespace {

// The app's rate, from whatever says it.
tl::expected<double, std::string> RateOf(const AppPlan& app, uint16_t cores) {
  if (app.arrivals.has_own_rate()) return app.arrivals.rate_per_second();
  if (app.rate > 0) return app.rate;
  if (app.load <= 0) return tl::unexpected("app \"" + app.name + "\": neither a load nor a rate is given");
  if (app.service.Mean() == 0) return tl::unexpected("app \"" + app.name + "\": a load of requests that take no time");
  return app.load * cores * static_cast<double>(kSecond) / app.service.Mean();
}

}  // namespace

tl::expected<RunResult, std::string> Simulate(const RunPlan& plan) {
  const auto reference = ParseReference(plan.scheduler);
  if (!reference) return tl::unexpected(reference.error());
  std::vector<Load> loads;
  std::vector<double> rates;
  std::vector<uint32_t> flows;
  std::vector<bool> best_effort;
  for (const AppPlan& app : plan.apps) {
    const auto rate = RateOf(app, plan.cores);
    if (!rate) return tl::unexpected(rate.error());
    Load load{.arrivals = app.arrivals, .service = app.service, .flows = app.flows};
    if (!app.arrivals.has_own_rate()) load.arrivals.SetRate(*rate);
    loads.push_back(std::move(load));
    rates.push_back(*rate);
    flows.push_back(app.flows);
    best_effort.push_back(app.priority == Priority::kBestEffort);
  }
  const auto warm_up = static_cast<uint32_t>(std::floor(plan.warm_up * plan.requests));
  RunResult result{.ledger = Ledger(plan.cores, plan.requests, warm_up, flows), .rates = rates};
  RequestStream stream(std::move(loads), plan.requests, plan.seed);
  const auto start = std::chrono::steady_clock::now();
  result.events = RunReference(*reference, plan.cores, best_effort, plan.seed, stream, result.ledger);
  result.wall_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

}  // namespace sluice::sim
