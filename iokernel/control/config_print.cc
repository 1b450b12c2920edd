// config_print.cc - a Config as TOML that parses back to the same Config.
#include "iokernel/control/config_parse.h"
#include "iokernel/control/units.h"

namespace sluice {
namespace {

// A TOML basic string.
std::string Quoted(std::string_view text) {
  constexpr const char* kHex = "0123456789abcdef";
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if ((c >= 0 && c < 0x20) || c == 0x7f) {
      quoted += "\\u00";
      quoted += kHex[c >> 4 & 0xf];
      quoted += kHex[c & 0xf];
    } else {
      quoted += c;
    }
  }
  return quoted + "\"";
}

class Printer {
 public:
  void Table(std::string_view header) {
    if (!text_.empty()) text_ += '\n';
    text_.append(header) += '\n';
  }
  void Text(std::string_view key, std::string_view value) { Line(key, Quoted(value)); }
  void Number(std::string_view key, uint64_t value) { Line(key, std::to_string(value)); }
  void List(std::string_view key, const std::vector<std::string>& items) {
    std::string list;
    for (const std::string& item : items) list += (list.empty() ? "" : ", ") + Quoted(item);
    Line(key, "[" + list + "]");
  }
  std::string Take() { return std::move(text_); }

 private:
  void Line(std::string_view key, const std::string& value) { text_.append(key).append(" = ").append(value) += '\n'; }
  std::string text_;
};

void PrintApp(const AppConfig& app, Printer& out) {
  out.Table("[[app]]");
  out.Text("name", app.name);
  if (app.address) out.Text("address", FormatIpv4(*app.address));
  out.Number("guaranteed", app.guaranteed);
  if (app.max > 0) out.Number("max", app.max);
  out.Text("priority", app.priority == Priority::kBestEffort ? "best-effort" : "latency-critical");
  if (!app.steering.empty()) out.Text("steering", app.steering);
  out.Number("flows", app.flows);
  if (app.slice_us > 0) out.Number("slice_us", app.slice_us);
}

}  // namespace

std::string PrintConfig(const Config& config) {
  Printer out;
  out.Table("[iokernel]");
  if (config.port.kind != PortKind::kNone) out.Text("port", config.port.text);
  out.Number("cpu", config.loop_cpu);
  out.List("cores", FormatCoreSlots(config.core_cpus));
  out.Number("interval_us", config.interval_us);
  out.Text("run_dir", config.run_dir);
  out.Text("grant", config.grant);
  if (config.idle_burner) out.Text("idle_burner", "on");
  out.Table("[policy]");
  out.Text("steering", config.steering);
  out.Text("pick", config.pick);
  out.Text("congestion", config.congestion);
  out.Text("placement", config.placement);
  if (config.address || !config.routes.empty()) {
    out.Table("[net]");
    if (config.address) out.Text("address", FormatIpv4Net(*config.address));
    std::vector<std::string> routes;
    for (const RouteConfig& route : config.routes) {
      routes.push_back(FormatIpv4Net(route.network) + " via " + FormatIpv4(route.via));
    }
    if (!routes.empty()) out.List("routes", routes);
  }
  for (const AppConfig& app : config.apps) PrintApp(app, out);
  return out.Take();
}

}  // namespace sluice
