// tables.cc - see tables.h.
#include "apps/sluicectl/tables.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <vector>

namespace sluice::ctl {
namespace {

using Json = nlohmann::ordered_json;

// Columns as wide as their widest cell; numbers to the right.
class Table {
 public:
  explicit Table(std::vector<std::string> head) { rows_.push_back(std::move(head)); }
  void Add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }

  [[nodiscard]] std::string Text(const std::string& indent = "") const {
    std::vector<size_t> widths(rows_[0].size());
    for (const auto& row : rows_) {
      for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
    }
    std::string text;
    for (const auto& row : rows_) {
      std::string line = indent;
      for (size_t i = 0; i < row.size(); ++i) {
        const std::string pad(widths[i] - row[i].size(), ' ');
        const bool number = rows_.size() > 1 && !rows_[1][i].empty() && rows_[1][i][0] >= '0' &&
                            rows_[1][i][0] <= '9' && rows_[1][i].find('.') == std::string::npos;
        line += (number ? pad + row[i] : row[i] + pad) + "  ";
      }
      line.erase(line.find_last_not_of(' ') + 1);
      text += line + "\n";
    }
    return text;
  }

 private:
  std::vector<std::vector<std::string>> rows_;
};

std::string Show(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_null()) return "-";
  if (value.is_number_float()) {
    char text[32];
    std::snprintf(text, sizeof text, "%.1f", value.get<double>());
    return text;
  }
  return value.dump();
}

std::string At(const Json& json, const char* key) { return json.contains(key) ? Show(json.at(key)) : "-"; }
std::string At(const Json& json, const char* group, const char* key) {
  return json.contains(group) ? At(json.at(group), key) : "-";
}

// "runt 3, ipv6 1"; "none".
std::string NonZero(const Json& json, const char* group) {
  std::string text;
  if (!json.contains(group)) return "-";
  for (const auto& [name, value] : json.at(group).items()) {
    if (value.is_number() && value != 0) text += (text.empty() ? "" : ", ") + name + " " + Show(value);
  }
  return text.empty() ? "none" : text;
}

std::string Daemon(const Json& json) {
  const Json& daemon = json.at("iokerneld");
  std::string text = "iokerneld " + At(daemon, "version") + ", pid " + At(daemon, "pid") + ", up " +
                     At(daemon, "uptime_s") + " s, loop on CPU " + At(daemon, "loop_cpu") + ", " +
                     At(daemon, "cores", "slots") + " core slots on CPUs " + At(daemon, "cores", "cpus") +
                     ", interval " + At(daemon, "interval_us") + " us\n";
  text += "policies: steering " + At(daemon, "steering") + ", pick " + At(daemon, "pick") + ", congestion " +
          At(daemon, "congestion") + ", placement " + At(daemon, "placement") + "\n";
  if (const Json& port = json.at("port"); port.is_object()) {
    text += "port " + At(port, "name") + " (" + At(port, "driver") + "): " + NonZero(port, "counters") +
            "; drops: " + NonZero(port, "drops") + "\n";
  }
  text += "loop: " + NonZero(json.at("loop"), "counters") + "\n";
  text += "drops on the way in: " + NonZero(json.at("loop"), "drops") + "\n";
  text += "grants by " + At(json, "grants", "backend") + ": " + NonZero(json, "grants") + "\n";
  for (const Json& fallback : daemon.at("fallbacks")) text += "fallback: " + Show(fallback) + "\n";
  return text;
}

std::string Kthreads(const Json& app) {
  if (!app.contains("kthreads")) return "";
  Table table(
      {"kthread", "tid", "core", "rx", "tx", "grants", "parks", "slices", "stolen", "uthreads stolen", "drops"});
  for (const Json& kthread : app.at("kthreads")) {
    table.Add({At(kthread, "id"), At(kthread, "tid"), At(kthread, "core"), At(kthread, "rx_packets"),
               At(kthread, "tx_packets"), At(kthread, "grants"), At(kthread, "runtime", "parks"),
               At(kthread, "runtime", "slices"), At(kthread, "runtime", "rx_stolen"),
               At(kthread, "runtime", "uthreads_stolen"), NonZero(kthread, "drops")});
  }
  return table.Text("  ");
}

// ", slices of 100 us"; nothing for an app without.
std::string Slices(const Json& app) {
  return app.value("slice_us", 0) == 0 ? "" : ", slices of " + At(app, "slice_us") + " us";
}

Json Parse(const std::string& text) { return Json::parse(text, nullptr, false); }

// What was asked for, or the answer as it came.
template <class Fn>
std::string Guarded(const std::string& text, Fn&& fn) {
  const Json json = Parse(text);
  try {
    return fn(json);
  } catch (const Json::exception&) {
    return text + "\n";
  }
}

}  // namespace

std::string Indented(const std::string& text) {
  const Json json = Parse(text);
  return json.is_discarded() ? text + "\n" : json.dump(2) + "\n";
}

std::string StatTable(const std::string& text) {
  return Guarded(text, [](const Json& json) {
    std::string out = Daemon(json);
    if (json.at("apps").empty()) out += "\nno app is attached\n";
    for (const Json& app : json.at("apps")) {
      out += "\napp " + At(app, "name") + ", " + At(app, "address") + ", pid " + At(app, "pid") + " (" +
             At(app, "command") + "), " + At(app, "state") + ", " + At(app, "priority") + ", guaranteed " +
             At(app, "guaranteed") + ", max " + At(app, "max") + ", " + At(app, "steering") + Slices(app) + "\n";
      out += "  " + NonZero(app, "counters") + "\n  drops: " + NonZero(app, "drops") + "\n" + Kthreads(app);
    }
    return out;
  });
}

std::string AppsTable(const std::string& text) {
  return Guarded(text, [](const Json& json) -> std::string {
    if (json.at("apps").empty()) return "no app is attached\n";
    Table table({"app", "address", "pid", "command", "state", "priority", "guaranteed", "max", "steering"});
    for (const Json& app : json.at("apps")) {
      table.Add({At(app, "name"), At(app, "address"), At(app, "pid"), At(app, "command"), At(app, "state"),
                 At(app, "priority"), At(app, "guaranteed"), At(app, "max"), At(app, "steering")});
    }
    return table.Text();
  });
}

std::string FlowsTable(const std::string& text) {
  return Guarded(text, [](const Json& json) -> std::string {
    if (json.at("flows").empty()) return "no flow is installed\n";
    Table table({"app", "source", "destination", "protocol", "hash", "home"});
    for (const Json& flow : json.at("flows")) {
      table.Add({At(flow, "app"), At(flow, "source"), At(flow, "destination"), At(flow, "protocol"), At(flow, "hash"),
                 At(flow, "home")});
    }
    return table.Text();
  });
}

std::string FlowLine(const std::string& text) {
  return Guarded(text, [](const Json& json) {
    return json.at("app").get<std::string>() + ": " + At(json, "source") + " " + At(json, "destination") + "/" +
           At(json, "protocol") + (json.contains("home") ? ", home " + At(json, "home") : ", removed") + "\n";
  });
}

std::string ExplainText(const std::string& text) {
  return Guarded(text, [](const Json& json) {
    const bool runs = !json.at("core").is_null();
    std::string out = At(json, "source") + " -> " + At(json, "destination") + "/" + At(json, "protocol") + "\n";
    out += "  hash     " + At(json, "hash") + "\n  app      " + At(json, "app") + ", " + At(json, "steering") + "\n";
    out += "  kthread  " + At(json, "kthread") + ", " + At(json, "waiting_packets") + " packets waiting\n";
    out += "  core     " + (runs ? At(json, "core") + ", CPU " + At(json, "cpu") : std::string("none now")) + "\n";
    if (!json.at("home").is_null()) {
      out += "  home     " + At(json, "home") + ", on core " + At(json, "home_core") + "\n";
    }
    return out + "  why      " + At(json, "why") + "\n";
  });
}

std::string RecordingText(const std::string& text) {
  return Guarded(text, [](const Json& json) {
    const std::string ended = json.at("ended").get<std::string>();
    const std::string state = json.at("running") == true ? "recording"
                              : ended.empty()            ? "not recording"
                                                         : "not recording; the last one ended: " + ended;
    return state + "\n" + At(json, "records") + " records, " + At(json, "bytes") + " of at most " +
           At(json, "limit_bytes") + " bytes, " + At(json, "dropped") + " dropped\n";
  });
}

std::string PoliciesTable(const std::string& text) {
  return Guarded(text, [](const Json& json) {
    Table table({"kind", "policy", "in force", "what it does"});
    for (const Json& policy : json.at("policies")) {
      table.Add(
          {At(policy, "kind"), At(policy, "name"), policy.at("in_force") == true ? "yes" : "", At(policy, "summary")});
    }
    return table.Text();
  });
}

}  // namespace sluice::ctl
