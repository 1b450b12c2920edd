// config_check.cc - a draft to a Config: defaults, ranges, and what must fit together.
#include <algorithm>
#include <filesystem>
#include <map>
#include <system_error>

#include "iokernel/brain/allocator.h"
#include "iokernel/control/config_parse.h"
#include "iokernel/control/port_config.h"
#include "iokernel/control/units.h"
#include "policies/parameters.h"
#include "policies/registry.h"

namespace sluice {
namespace {

std::string Quoted(std::string_view text) { return "\"" + std::string(text) + "\""; }

bool IsUnicast(uint32_t address) {
  const uint32_t first = address >> 24;
  return first != 0 && first != 127 && first < 224;
}

// The number of hosts' addresses below: not the network's own, not its broadcast.
bool IsHost(const Ipv4Net& net, uint32_t address) {
  const uint32_t host = address & ~net.mask();
  return host != 0 && host != ~net.mask();
}

class Checker {
 public:
  Checker(const ConfigDraft& draft, const MachineFacts& machine, ConfigErrors& errors)
      : draft_(draft), machine_(machine), errors_(errors) {}

  Config Check() {
    if (draft_.port) {
      if (auto port = CheckPort(*draft_.port, machine_, errors_)) config_.port = *port;
    }
    CheckCores();
    CheckNumber(draft_.interval_us, 1, kMaxIntervalUs, " microseconds", &config_.interval_us);
    CheckRunDir();
    CheckChoice(draft_.grant, {"auto", "futex", "ksched"}, &config_.grant);
    std::string burner;
    CheckChoice(draft_.idle_burner, {"on", "off"}, &burner);
    config_.idle_burner = burner == "on";
    CheckPolicy(draft_.steering, PolicyKind::kSteering, &config_.steering);
    CheckPolicy(draft_.pick, PolicyKind::kPick, &config_.pick);
    CheckPolicy(draft_.congestion, PolicyKind::kCongestion, &config_.congestion);
    CheckPolicy(draft_.placement, PolicyKind::kPlacement, &config_.placement);
    CheckAddress();
    if (draft_.routes) {
      for (const auto& route : *draft_.routes) CheckRoute(route);
    }
    for (const AppDraft& app : draft_.apps) CheckApp(app);
    CheckGuarantees();
    return std::move(config_);
  }

 private:
  template <class T>
  void CheckNumber(const Maybe<int64_t>& number, int64_t least, int64_t most, const std::string& unit, T* out) {
    if (!number) return;
    if (number->value < least || number->value > most) {
      errors_.Add(number->place, std::to_string(number->value),
                  std::to_string(least) + " to " + std::to_string(most) + unit);
      return;
    }
    *out = static_cast<T>(number->value);
  }

  void CheckChoice(const Maybe<std::string>& text, const std::vector<std::string>& choices, std::string* out) {
    if (!text) return;
    if (std::find(choices.begin(), choices.end(), text->value) != choices.end()) {
      *out = text->value;
      return;
    }
    std::string all;
    for (const std::string& choice : choices) all += (all.empty() ? "" : ", ") + choice;
    errors_.Add(text->place, Quoted(text->value), all, Nearest(text->value, choices));
  }

  void CheckPolicy(const Maybe<std::string>& text, PolicyKind kind, std::string* out) {
    if (!text) return;
    if (IsPolicy(kind, text->value)) {
      *out = text->value;
      return;
    }
    const std::string_view name = SplitPolicy(text->value).name;
    const std::string_view nearest = NearestName(kind, name);
    errors_.Add(text->place, Quoted(text->value), AllowedPolicies(kind, text->value),
                std::string(nearest == name ? "" : nearest));
  }

  // --- CPUs -----------------------------------------------------------------------------------------

  bool CpuExists(uint64_t cpu) const { return std::binary_search(machine_.cpus.begin(), machine_.cpus.end(), cpu); }

  std::string CpusThatExist() const { return "the CPUs of this machine: " + FormatCpuList(machine_.cpus); }

  void CheckCores() {
    std::map<uint16_t, const Place*> used;  // CPU to where it was said
    if (draft_.cores) {
      for (const auto& item : *draft_.cores) AddCores(item, used);
      if (draft_.cores->empty()) errors_.AddText(CoresPlace(), "got no core, allowed: at least one");
    }
    ChooseLoopCpu(used);
    if (!draft_.cores) {
      for (const uint16_t cpu : machine_.allowed) {
        if (cpu != config_.loop_cpu && config_.core_cpus.size() < kMaxCores) config_.core_cpus.push_back(cpu);
      }
      if (config_.core_cpus.empty()) {
        errors_.AddText({"iokerneld", 0, 0, ""}, "got a single CPU (" + FormatCpuList(machine_.allowed) +
                                                     "), allowed: at least two, one for the loop and one for apps");
      }
    }
    if (config_.core_cpus.size() > kMaxCores) {
      errors_.Add(CoresPlace(), std::to_string(config_.core_cpus.size()) + " core slots",
                  "at most " + std::to_string(kMaxCores));
      config_.core_cpus.resize(kMaxCores);
    }
  }

  Place CoresPlace() const {
    static const Place kNowhere{"[iokernel] cores", 0, 0, ""};
    return draft_.cores ? draft_.cores_place : kNowhere;
  }

  void AddCores(const Written<std::string>& written, std::map<uint16_t, const Place*>& used) {
    const auto item = ParseCpuItem(written.value);
    if (!item) {
      errors_.Add(written.place, Quoted(written.value), "a CPU (3), several (2-5), or several slots on one (1*4)");
      return;
    }
    std::vector<uint16_t> missing;
    for (uint32_t cpu = item->first; cpu <= item->last; ++cpu) {
      const auto id = static_cast<uint16_t>(cpu);
      if (!CpuExists(id)) {
        missing.push_back(id);
        continue;
      }
      const auto [other, fresh] = used.emplace(id, &written.place);
      if (!fresh) {
        errors_.Add(written.place, "CPU " + std::to_string(cpu) + " a second time",
                    "each CPU once; several slots on one CPU are written " + Quoted(std::to_string(cpu) + "*2"));
        continue;
      }
      if (item->slots > 1) config_.shared_cpus = true;
      if (config_.core_cpus.size() <= kMaxCores) config_.core_cpus.insert(config_.core_cpus.end(), item->slots, id);
    }
    if (!missing.empty()) {
      errors_.Add(written.place, "CPU " + FormatCpuList(missing) + ", which does not exist", CpusThatExist());
    }
  }

  void ChooseLoopCpu(const std::map<uint16_t, const Place*>& used) {
    if (draft_.cpu) {
      const auto& [cpu, place] = *draft_.cpu;
      if (cpu < 0 || cpu > UINT16_MAX || !CpuExists(static_cast<uint64_t>(cpu))) {
        errors_.Add(place, "CPU " + std::to_string(cpu) + ", which does not exist", CpusThatExist());
        return;
      }
      config_.loop_cpu = static_cast<uint16_t>(cpu);
      if (const auto clash = used.find(config_.loop_cpu); clash != used.end()) {
        errors_.Add(*clash->second, "CPU " + std::to_string(cpu) + ", the loop's own",
                    "any other; the loop has its CPU for itself");
      }
      return;
    }
    for (const uint16_t cpu : machine_.allowed) {
      if (used.contains(cpu)) continue;
      config_.loop_cpu = cpu;
      return;
    }
    if (!used.empty()) {
      errors_.AddText(CoresPlace(), "got all CPUs (" + FormatCpuList(machine_.allowed) +
                                        "), allowed: all but one, which the loop has for itself");
    }
  }

  // --- run directory --------------------------------------------------------------------------------

  void CheckRunDir() {
    if (!draft_.run_dir) return;
    std::error_code error;
    const std::string path = std::filesystem::absolute(draft_.run_dir->value, error).lexically_normal().string();
    const bool printable = std::all_of(path.begin(), path.end(), [](char c) { return c >= 0x20 || c < 0; });
    if (draft_.run_dir->value.empty() || error || !printable || path.size() > kMaxRunDir) {
      errors_.Add(draft_.run_dir->place, Quoted(draft_.run_dir->value),
                  "a directory of at most " + std::to_string(kMaxRunDir) +
                      " characters, such as /run/sluice (its sockets' names are short)");
      return;
    }
    config_.run_dir = path.size() > 1 && path.back() == '/' ? path.substr(0, path.size() - 1) : path;
  }

  // --- addresses ------------------------------------------------------------------------------------

  void CheckAddress() {
    if (!draft_.address) return;
    const std::string& text = draft_.address->value;
    const auto net = ParseIpv4Net(text);
    constexpr const char* kAllowed = "an address and its network's bits, 1 to 30, such as 10.0.0.2/24";
    if (!net || net->prefix_bits < 1 || net->prefix_bits > 30) {
      errors_.Add(draft_.address->place, Quoted(text), kAllowed, ParseIpv4(text) ? Quoted(text + "/24") : "");
    } else if (!IsUnicast(net->address) || !IsHost(*net, net->address)) {
      errors_.Add(draft_.address->place, Quoted(text), "the address of a host, not a network, broadcast or multicast");
    } else {
      config_.address = *net;
    }
  }

  // Where an address must lie; false if it was reported.
  bool OnNetwork(const Place& place, std::string_view what, uint32_t address) {
    if (!config_.address) {
      if (!draft_.address) {
        errors_.AddText(place,
                        "got " + FormatIpv4(address) + ", but [net] address is not set, and so there is no network");
      }
      return false;
    }
    const Ipv4Net& net = *config_.address;
    const Ipv4Net network{net.address & net.mask(), net.prefix_bits};
    if (!net.Contains(address) || !IsHost(net, address)) {
      errors_.Add(place, std::string(what) + FormatIpv4(address),
                  "a host's address in " + FormatIpv4Net(network) + ", from [net] address");
      return false;
    }
    if (address == net.address) {
      errors_.Add(place, std::string(what) + FormatIpv4(address) + ", which is [net] address, iokerneld's own",
                  "any other in " + FormatIpv4Net(network));
      return false;
    }
    return true;
  }

  void CheckRoute(const Written<std::string>& written) {
    constexpr std::string_view kVia = " via ";
    const std::string_view text = written.value;
    const size_t via = text.find(kVia);
    const auto network = ParseIpv4Net(text.substr(0, via));
    const std::string_view behind = via == std::string_view::npos ? "" : text.substr(via + kVia.size());
    const auto gateway = ParseIpv4(behind);
    if (!network || !gateway) {
      errors_.Add(written.place, Quoted(written.value),
                  R"("NETWORK/BITS via GATEWAY", such as "10.64.0.0/10 via 10.0.0.1")");
      return;
    }
    const Ipv4Net base{network->address & network->mask(), network->prefix_bits};
    if (base.address != network->address) {
      errors_.Add(written.place, Quoted(written.value), "a network's address, with zeros behind its bits",
                  Quoted(FormatIpv4Net(base) + " via " + FormatIpv4(*gateway)));
      return;
    }
    if (!OnNetwork(written.place, "the gateway ", *gateway)) return;
    for (const RouteConfig& other : config_.routes) {
      if (other.network == base) {
        errors_.Add(written.place, "a second route to " + FormatIpv4Net(base), "one for each network");
        return;
      }
    }
    config_.routes.push_back({base, *gateway});
  }

  // --- apps -----------------------------------------------------------------------------------------

  void CheckApp(const AppDraft& draft) {
    AppConfig app;
    CheckAppName(draft, &app);
    CheckAppAddress(draft, &app);
    const auto slots = static_cast<int64_t>(config_.core_cpus.size());
    const std::string unit =
        slots == 1 ? " core, the one slot there is" : " cores, of which there are " + std::to_string(slots);
    if (slots > 0) {
      CheckNumber(draft.guaranteed, 0, slots, unit, &app.guaranteed);
      CheckNumber(draft.max, 1, slots, unit, &app.max);
    }
    if (app.max > 0 && app.guaranteed > app.max) {
      errors_.Add(draft.guaranteed->place, std::to_string(app.guaranteed),
                  "0 to " + std::to_string(app.max) + ", its max");
    }
    CheckNumber(draft.flows, 1, kMaxFlows, " flows", &app.flows);
    CheckSlice(draft.slice_us, &app.slice_us);
    std::string priority = "latency-critical";
    CheckChoice(draft.priority, {"latency-critical", "best-effort"}, &priority);
    app.priority = priority == "best-effort" ? Priority::kBestEffort : Priority::kLatencyCritical;
    CheckPolicy(draft.steering, PolicyKind::kSteering, &app.steering);
    if (config_.apps.size() == kMaxApps) {
      errors_.AddText(draft.place, "got one app more than allowed: at most " + std::to_string(kMaxApps));
    } else if (config_.apps.size() < kMaxApps) {
      config_.apps.push_back(std::move(app));
    }
  }

  void CheckSlice(const Maybe<int64_t>& draft, uint32_t* slice_us) {
    if (!draft || draft->value == 0) return;
    CheckNumber(draft, kLeastSliceUs, kMaxSliceUs, " microseconds, or 0, none", slice_us);
  }

  void CheckAppName(const AppDraft& draft, AppConfig* app) {
    if (!draft.name) {
      errors_.AddText(draft.place, "got no name, allowed: name = \"...\", by which the app will ask for this entry");
      return;
    }
    const std::string& name = draft.name->value;
    if (!IsAppName(name)) {
      errors_.Add(draft.name->place, Quoted(name.substr(0, 60)), "1 to 31 letters, digits and -_.:+@");
      return;
    }
    const auto [first, fresh] = names_.emplace(name, draft.name->place);
    if (!fresh) {
      errors_.Add(draft.name->place, Quoted(name) + " a second time",
                  "names that differ; the first is on line " + std::to_string(first->second.line));
      return;
    }
    app->name = name;
  }

  void CheckAppAddress(const AppDraft& draft, AppConfig* app) {
    if (!draft.address) return;
    const auto address = ParseIpv4(draft.address->value);
    const Place& place = draft.address->place;
    if (!address) {
      const auto net = ParseIpv4Net(draft.address->value);
      errors_.Add(place, Quoted(draft.address->value), "an IPv4 address, such as 10.0.0.3",
                  net ? Quoted(FormatIpv4(net->address)) : "");
      return;
    }
    const auto [first, fresh] = addresses_.emplace(*address, draft.address->place);
    if (!fresh) {
      errors_.Add(place, FormatIpv4(*address) + " a second time",
                  "addresses that differ; the first is on line " + std::to_string(first->second.line));
      return;
    }
    if (!OnNetwork(place, "", *address)) return;
    for (const RouteConfig& route : config_.routes) {
      if (route.via != *address) continue;
      errors_.Add(place, FormatIpv4(*address) + ", the gateway of the route to " + FormatIpv4Net(route.network),
                  "any other");
      return;
    }
    app->address = *address;
  }

  // Errors point at the guarantee that is too much.
  void CheckGuarantees() {
    const size_t slots = config_.core_cpus.size();
    if (slots == 0) return;
    size_t sum = 0;
    std::string terms;
    for (size_t i = 0; i < config_.apps.size(); ++i) {
      const AppConfig& app = config_.apps[i];
      if (app.guaranteed == 0) continue;
      sum += app.guaranteed;
      terms += (terms.empty() ? "" : " + ") + std::to_string(app.guaranteed);
      if (sum <= slots) continue;
      errors_.Add(
          draft_.apps[i].guaranteed->place,
          std::to_string(app.guaranteed) + ", and all guarantees together " + terms + " = " + std::to_string(sum),
          "at most " + std::to_string(slots) + " together, one for each core slot");
      return;
    }
  }

  const ConfigDraft& draft_;
  const MachineFacts& machine_;
  ConfigErrors& errors_;
  Config config_;
  std::map<std::string, Place> names_;
  std::map<uint32_t, Place> addresses_;
};

}  // namespace

bool IsAppName(std::string_view name) {
  return !name.empty() && name.size() <= 31 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("-_.:+@").find(c) != std::string_view::npos;
  });
}

Config CheckConfig(const ConfigDraft& draft, const MachineFacts& machine, ConfigErrors& errors) {
  return Checker(draft, machine, errors).Check();
}

}  // namespace sluice
