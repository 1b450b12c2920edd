#include "apps/simulator/scenario.h"

#include <toml++/toml.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <initializer_list>
#include <sstream>

namespace sluice::sim {
namespace {

using Status = tl::expected<void, std::string>;

// One key: what it is called, and what is done with its value.
struct Key {
  std::string_view name;
  std::function<Status(const toml::node&)> read;
};

Status Wrong(std::string_view what) { return tl::unexpected(std::string(what) + " is wanted"); }

template <class T>
Key Whole(std::string_view name, T* value, int64_t least, int64_t most) {
  return {name, [=](const toml::node& node) -> Status {
            const auto number = node.value<int64_t>();
            if (!number || *number < least || *number > most) {
              return Wrong("a whole number from " + std::to_string(least) + " to " + std::to_string(most));
            }
            *value = static_cast<T>(*number);
            return {};
          }};
}

Key Number(std::string_view name, double* value) {
  return {name, [=](const toml::node& node) -> Status {
            const auto number = node.value<double>();
            if (!number || !std::isfinite(*number) || *number < 0) return Wrong("a number of at least 0");
            *value = *number;
            return {};
          }};
}

Key Flag(std::string_view name, bool* value) {
  return {name, [=](const toml::node& node) -> Status {
            const auto flag = node.value<bool>();
            if (!flag) return Wrong("true or false");
            *value = *flag;
            return {};
          }};
}

Key Text(std::string_view name, std::string* value) {
  return {name, [=](const toml::node& node) -> Status {
            const auto text = node.value<std::string>();
            if (!text) return Wrong("a text");
            *value = *text;
            return {};
          }};
}

template <class Parse, class T>
Key Parsed(std::string_view name, Parse* parse, T* value) {
  return {name, [=](const toml::node& node) -> Status {
            const auto text = node.value<std::string>();
            if (!text) return Wrong("a text");
            auto parsed = parse(*text);
            if (!parsed) return tl::unexpected(parsed.error());
            *value = std::move(*parsed);
            return {};
          }};
}

std::string Names(std::initializer_list<Key> keys) {
  std::string names;
  for (const Key& key : keys) names.append(names.empty() ? "" : ", ").append(key.name);
  return names;
}

Status Read(const toml::table& table, std::initializer_list<Key> keys) {
  for (const auto& [written, node] : table) {
    const std::string_view name = written.str();
    const auto* key = std::find_if(keys.begin(), keys.end(), [&](const Key& known) { return known.name == name; });
    const std::string where = "line " + std::to_string(node.source().begin.line) + ": ";
    if (key == keys.end()) {
      return tl::unexpected(where + "there is no key \"" + std::string(name) + "\" here, only " + Names(keys));
    }
    if (auto read = key->read(node); !read) {
      return tl::unexpected(where + std::string(name) + ": " + read.error());
    }
  }
  return {};
}

Status ReadApp(const toml::table& table, AppPlan* app) {
  std::string priority = "latency-critical";
  app->gets_requests = table.contains("service") || table.contains("load") || table.contains("rate");
  Status read = Read(
      table, {Text("name", &app->name), Parsed("arrivals", ArrivalProcess::Parse, &app->arrivals),
              Parsed("service", ServiceTime::Parse, &app->service), Number("load", &app->load),
              Number("rate", &app->rate), Whole("flows", &app->flows, 0, 100'000'000), Text("priority", &priority),
              Whole("guaranteed", &app->guaranteed, 0, kMaxCores), Whole("max", &app->max_cores, 1, kMaxCores),
              Whole("batch_threads", &app->batch_threads, 0, 10'000), Parsed("batch_unit", ParseTime, &app->batch_unit),
              Parsed("slice", ParseTime, &app->slice), Flag("install_flows", &app->install_flows)});
  if (!read) return read;
  if (priority != "latency-critical" && priority != "best-effort") {
    return tl::unexpected("app \"" + app->name + "\": priority is latency-critical or best-effort");
  }
  app->priority = priority == "best-effort" ? Priority::kBestEffort : Priority::kLatencyCritical;
  if (!app->gets_requests) app->flows = 0;
  if (app->arrivals.has_own_rate() + (app->load > 0) + (app->rate > 0) > 1) {
    return tl::unexpected(
        "app \"" + app->name +
        "\": a load, a rate and arrivals with rates of their own each say how many requests come; one "
        "of them is wanted");
  }
  return {};
}

// The costs, and the name of their file.
Key Profile(RunPlan* plan) {
  return {"profile", [plan](const toml::node& node) -> Status {
            plan->profile = node.value_or(std::string());
            return Parsed("", ReadCosts, &plan->costs).read(node);
          }};
}

Status ReadPlan(const toml::table& table, RunPlan* plan) {
  const auto apps = [plan](const toml::node& node) -> Status {
    const toml::array* list = node.as_array();
    if (list == nullptr || list->empty()) return Wrong("[[app]] tables");
    for (const toml::node& item : *list) {
      if (!item.is_table()) return Wrong("[[app]] tables");
      AppPlan app;
      if (auto read = ReadApp(*item.as_table(), &app); !read) return read;
      plan->apps.push_back(std::move(app));
    }
    return {};
  };
  return Read(table,
              {Whole("cores", &plan->cores, 1, kMaxCores), Text("scheduler", &plan->scheduler),
               Text("steering", &plan->steering), Text("pick", &plan->pick), Text("congestion", &plan->congestion),
               Text("placement", &plan->placement), Parsed("interval", ParseTime, &plan->interval),
               Parsed("idle_spin", ParseTime, &plan->idle_spin), Whole("requests", &plan->requests, 1, 4'000'000'000),
               Number("warm_up", &plan->warm_up), Whole("seed", &plan->seed, 0, INT64_MAX),
               Flag("hyperthreads", &plan->hyperthreads), Whole("nodes", &plan->nodes, 1, kMaxCores),
               Whole("rx_slots", &plan->rx_slots, 2, 65536), Profile(plan), Key{"app", apps}});
}

}  // namespace

tl::expected<RunPlan, std::string> ReadScenario(const std::string& path) {
  RunPlan plan;
  plan.scenario = path;
  try {
    if (auto read = ReadPlan(toml::parse_file(path), &plan); !read) {
      return tl::unexpected("scenario " + path + ": " + read.error());
    }
  } catch (const toml::parse_error& error) {
    std::ostringstream text;
    text << "scenario " << path << ": line " << error.source().begin.line << ": " << error.description();
    return tl::unexpected(text.str());
  }
  if (plan.apps.empty()) return tl::unexpected("scenario " + path + ": it has no [[app]]");
  return plan;
}

}  // namespace sluice::sim
