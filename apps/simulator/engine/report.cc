#include "apps/simulator/engine/report.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

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

// Of an app that gets no requests all are null.
Json Offered(const AppPlan& app, double rate) {
  if (!app.gets_requests) {
    return {
        {"arrivals", nullptr}, {"service", nullptr}, {"load", nullptr}, {"rate_per_s", nullptr}, {"flows", nullptr}};
  }
  Json json = {{"arrivals", app.arrivals.text()},
               {"service", app.service.text()},
               {"load", app.load},
               {"rate_per_s", rate},
               {"flows", app.flows}};
  if (app.arrivals.has_own_rate() || app.rate > 0) json["load"] = nullptr;
  return json;
}

Json FileName(const std::string& name) { return name.empty() ? Json() : Json(name); }

Json Inputs(const RunPlan& plan, const RunResult& result) {
  const size_t main_app = plan.MainApp();
  const AppPlan& app = plan.apps[main_app];
  Json json = {{"cores", plan.cores}};
  json.update(Offered(app, result.rates[main_app]));
  json.update({{"scheduler", plan.scheduler},
               {"steering", plan.steering},
               {"pick", plan.pick},
               {"congestion", plan.congestion},
               {"placement", plan.placement},
               {"requests", plan.requests},
               {"warm_up", plan.warm_up},
               {"seed", plan.seed},
               {"interval_us", ToUs(plan.interval)},
               {"idle_spin_us", ToUs(plan.idle_spin)},
               {"slice_us", ToUs(app.slice)},
               {"install_flows", app.install_flows},
               {"window_us", ToUs(plan.window)},
               {"hyperthreads", plan.hyperthreads},
               {"nodes", plan.nodes},
               {"rx_slots", plan.rx_slots},
               {"profile", FileName(plan.profile)},
               {"scenario", FileName(plan.scenario)}});
  return json;
}

// What each app was and what came of it.
Json Apps(const RunPlan& plan, const RunResult& result) {
  Json apps = Json::array();
  for (size_t i = 0; i < plan.apps.size(); ++i) {
    const AppPlan& app = plan.apps[i];
    Json one = {{"name", app.name}};
    one.update(Offered(app, result.rates[i]));
    one.update({{"priority", app.priority == Priority::kBestEffort ? "best-effort" : "latency-critical"},
                {"guaranteed", app.guaranteed},
                {"max", app.max_cores == 0 ? plan.cores : app.max_cores},
                {"slice_us", ToUs(app.slice)},
                {"install_flows", app.install_flows},
                {"batch_threads", app.batch_threads},
                {"batch_unit_us", ToUs(app.batch_unit)}});
    if (app.gets_requests) AddLatencies(result.ledger.recorders()[i], &one);
    apps.push_back(std::move(one));
  }
  return apps;
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
  (*json)["series"] = std::move(series);
}

Recorder AllApps(const RunResult& result) {
  Recorder all = result.ledger.recorders().front();
  for (size_t i = 1; i < result.ledger.recorders().size(); ++i) all.Merge(result.ledger.recorders()[i]);
  return all;
}

Json Figures(const RunPlan& plan, const RunResult& result) {
  Json json;
  AddLatencies(AllApps(result), &json);
  AddCores(plan, result, &json);
  json["events"] = result.machine.events;
  if (plan.scheduler == "sluice") AddMachine(result, &json);
  return json;
}

// As CSV wants it: texts with marks of its own are quoted.
std::string Cell(const Json& value) {
  if (value.is_null()) return {};
  if (!value.is_string()) return value.dump();
  const auto& text = value.get_ref<const std::string&>();
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted.append(c == '"' ? 2 : 1, c);
  return quoted + '"';
}

}  // namespace

std::string ReportJson(const RunPlan& plan, const RunResult& result) {
  Json json = Figures(plan, result);
  json["events_per_s"] = static_cast<double>(result.machine.events) / std::max(result.wall_seconds, 1e-9);
  json.update(Inputs(plan, result));
  json["apps"] = Apps(plan, result);
  if (plan.window != 0) AddSeries(plan, result, &json);
  // Names of files need not be UTF-8.
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

void Table::Add(const RunPlan& plan, const RunResult& result) {
  rows_.emplace_back();
  for (const Json& part : {Inputs(plan, result), Figures(plan, result)}) {
    for (const auto& [name, value] : part.items()) {
      if (!value.is_object()) {
        Set(name, Cell(value));
        continue;
      }
      for (const auto& [inner_name, inner] : value.items())
        Set(std::string(name).append("_").append(inner_name), Cell(inner));
    }
  }
}

void Table::Set(const std::string& column, std::string cell) {
  if (std::find(columns_.begin(), columns_.end(), column) == columns_.end()) columns_.push_back(column);
  rows_.back()[column] = std::move(cell);
}

std::string Table::Csv() const {
  std::string text;
  for (const std::string& column : columns_) text += (text.empty() ? "" : ",") + column;
  for (const auto& row : rows_) {
    char before = '\n';
    for (const std::string& column : columns_) {
      const auto cell = row.find(column);
      text += before + (cell == row.end() ? std::string() : cell->second);
      before = ',';
    }
  }
  return text;
}

}  // namespace sluice::sim
