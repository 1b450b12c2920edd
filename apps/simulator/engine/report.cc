#include "apps/simulator/engine/report.h"

#include <nlohmann/json.hpp>

namespace sluice::sim {
namespace {

using Json = nlohmann::ordered_json;

double Us(const abi::Histogram& histogram, double percent) { return PercentileNs(histogram, percent) / 1e3; }

void AddLatencies(const Recorder& recorder, Json* json) {
  const abi::Histogram& histogram = recorder.histogram();
  const Interval wait = recorder.WaitUs();
  (*json)["mean_us"] = recorder.MeanUs();
  (*json)["p50_us"] = Us(histogram, 50);
  (*json)["p90_us"] = Us(histogram, 90);
  (*json)["p95_us"] = Us(histogram, 95);
  (*json)["p99_us"] = Us(histogram, 99);
  (*json)["p999_us"] = Us(histogram, 99.9);
  (*json)["samples"] = histogram.Count();
  (*json)["mean_wait_us"] = wait.mean;
  (*json)["mean_wait_ci99_us"] = wait.half_width;
  (*json)["mean_slowdown"] = recorder.MeanSlowdown();
}

// Over the measured window.
void AddCores(const RunPlan& plan, const RunResult& result, Json* json) {
  const Totals& begin = result.ledger.begin();
  const Totals& end = result.ledger.end();
  const auto window = static_cast<double>(end.at - begin.at);
  const auto held = static_cast<double>(end.held - begin.held);
  const auto busy = static_cast<double>(end.BusyCoreTime() - begin.BusyCoreTime());
  const auto work = static_cast<double>(end.work - begin.work);
  const double seconds = window / static_cast<double>(kSecond);
  (*json)["utilization"] = window > 0 ? busy / window / plan.cores : 0;
  (*json)["cores_used"] = window > 0 ? held / window : 0;
  (*json)["efficiency"] = held > 0 ? work / held : 0;
  const double run_seconds = ToSeconds(result.machine.end);
  (*json)["grants_per_s"] = run_seconds > 0 ? static_cast<double>(result.machine.grants) / run_seconds : 0;
  (*json)["packets_core_changed"] = end.core_changed - begin.core_changed;
  (*json)["throughput_per_s"] = seconds > 0 ? static_cast<double>(plan.requests) * (1 - plan.warm_up) / seconds : 0;
  (*json)["drops"] = result.ledger.drops();
}

void AddMachine(const RunResult& result, Json* json) {
  const MachineFigures& machine = result.machine;
  const double end = std::max(1.0, static_cast<double>(machine.end));
  const auto share = [&](Time time) { return static_cast<double>(time) / end; };
  (*json)["cedes"] = machine.cedes;
  (*json)["cede_signals"] = machine.signals;
  (*json)["turn_signals"] = machine.turns;
  (*json)["turns_deferred"] = machine.turns_deferred;
  (*json)["steals"] = machine.steals;
  (*json)["packets_kthread_changed"] = machine.kthread_changed;
  (*json)["batch_units_per_s"] = static_cast<double>(machine.batch_units) / ToSeconds(static_cast<Time>(end));
  (*json)["iokernel"] = {{"receive", share(machine.io_receive)},
                         {"reply", share(machine.io_reply)},
                         {"congestion_detection", share(machine.io_poll)},
                         {"core_reallocation", share(machine.io_grant)},
                         {"time_slices", share(machine.io_turn)}};
}

Json Inputs(const RunPlan& plan, const RunResult& result) {
  const AppPlan& app = plan.apps.front();
  Json json = {{"cores", plan.cores},
               {"arrivals", app.arrivals.text()},
               {"service", app.service.text()},
               {"load", app.load},
               {"rate_per_s", result.rates.front()},
               {"scheduler", plan.scheduler},
               {"steering", plan.steering},
               {"pick", plan.pick},
               {"congestion", plan.congestion},
               {"placement", plan.placement},
               {"flows", app.flows},
               {"requests", plan.requests},
               {"warm_up", plan.warm_up},
               {"seed", plan.seed},
               {"interval_us", ToUs(plan.interval)}};
  if (app.arrivals.has_own_rate() || app.rate > 0) json["load"] = nullptr;
  return json;
}

// A window without requests is left out.
void AddSeries(const RunPlan& plan, const RunResult& result, Json* json) {
  Json series = Json::array();
  const std::vector<abi::Histogram>& windows = result.ledger.series().windows();
  for (size_t i = 0; i < windows.size(); ++i) {
    if (windows[i].Count() == 0) continue;
    series.push_back({{"from_us", static_cast<double>(i) * ToUs(plan.window)},
                      {"samples", windows[i].Count()},
                      {"p50_us", Us(windows[i], 50)},
                      {"p99_us", Us(windows[i], 99)},
                      {"p999_us", Us(windows[i], 99.9)}});
  }
  (*json)["window_us"] = ToUs(plan.window);
  (*json)["series"] = std::move(series);
}

Recorder AllApps(const RunResult& result) {
  Recorder all = result.ledger.recorders().front();
  for (size_t i = 1; i < result.ledger.recorders().size(); ++i) all.Merge(result.ledger.recorders()[i]);
  return all;
}

}  // namespace

std::string ReportJson(const RunPlan& plan, const RunResult& result) {
  Json json;
  AddLatencies(AllApps(result), &json);
  AddCores(plan, result, &json);
  json["events"] = result.machine.events;
  json["events_per_s"] = static_cast<double>(result.machine.events) / std::max(result.wall_seconds, 1e-9);
  if (plan.scheduler == "sluice") AddMachine(result, &json);
  json.update(Inputs(plan, result));
  if (plan.window != 0) AddSeries(plan, result, &json);
  if (plan.apps.size() > 1) {
    for (size_t i = 0; i < plan.apps.size(); ++i) {
      Json one = {{"name", plan.apps[i].name}, {"rate_per_s", result.rates[i]}};
      if (plan.apps[i].gets_requests) AddLatencies(result.ledger.recorders()[i], &one);
      json["apps"].push_back(std::move(one));
    }
  }
  return json.dump();
}

std::string CsvHeading() {
  return "scheduler,steering,pick,congestion,placement,cores,service,load,rate_per_s,interval_us,flows,seed,mean_us,"
         "p50_us,p90_us,p99_us,p999_us,samples,mean_wait_us,mean_wait_ci99_us,mean_slowdown,utilization,cores_used,"
         "efficiency,grants_per_s,packets_core_changed,batch_units_per_s,drops";
}

std::string CsvRow(const RunPlan& plan, const RunResult& result) {
  const Json json = Json::parse(ReportJson(plan, result));
  std::string row;
  const std::string heading = CsvHeading() + ',';
  for (size_t at = 0, end; (end = heading.find(',', at)) != std::string::npos; at = end + 1) {
    const auto value = json.find(heading.substr(at, end - at));
    if (!row.empty()) row += ',';
    if (value == json.end() || value->is_null()) continue;
    // Of the texts only a service or an arrival process has commas; as JSON it is quoted as CSV wants it.
    const bool bare = value->is_string() && value->get<std::string>().find(',') == std::string::npos;
    row += bare ? value->get<std::string>() : value->dump();
  }
  return row;
}

}  // namespace sluice::sim
