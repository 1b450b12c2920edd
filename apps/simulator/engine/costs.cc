#include "apps/simulator/engine/costs.h"

#include <toml++/toml.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <sstream>

namespace sluice::sim {
namespace {

constexpr std::array<CostField, 17> kFields = {{{"steer_ns", &Costs::steer},
                                                {"flow_lookup_ns", &Costs::flow_lookup},
                                                {"flow_insert_ns", &Costs::flow_insert},
                                                {"reply_ns", &Costs::reply},
                                                {"pass_ns", &Costs::pass},
                                                {"poll_ns", &Costs::poll},
                                                {"grant_ns", &Costs::grant},
                                                {"signal_ns", &Costs::signal},
                                                {"ring_hop_ns", &Costs::ring_hop},
                                                {"wake_ns", &Costs::wake},
                                                {"preempt_ns", &Costs::preempt},
                                                {"softirq_ns", &Costs::softirq},
                                                {"start_ns", &Costs::start},
                                                {"steal_ns", &Costs::steal},
                                                {"slice_ns", &Costs::slice},
                                                {"cold_core_ns", &Costs::cold_core},
                                                {"cold_flow_ns", &Costs::cold_flow}}};

std::string Names() {
  std::string names;
  for (const CostField& field : kFields) names.append(names.empty() ? "" : ", ").append(field.name);
  return names;
}

}  // namespace

const std::array<CostField, 17>& CostFields() { return kFields; }

Costs Costs::None() {
  Costs none;
  for (const CostField& field : kFields) none.*field.member = 0;
  return none;
}

tl::expected<Costs, std::string> ReadCosts(const std::string& path) {
  Costs costs;
  try {
    const toml::table table = toml::parse_file(path);
    for (const auto& [key, node] : table) {
      const std::string_view name = key.str();
      const auto* field =
          std::find_if(kFields.begin(), kFields.end(), [&](const CostField& known) { return known.name == name; });
      if (field == kFields.end())
        return tl::unexpected(path + ": there is no cost \"" + std::string(name) + "\", only " + Names());
      const auto ns = node.value<double>();
      if (!ns || *ns < 0 || *ns > 1e9) {
        return tl::unexpected(path + ": " + std::string(name) + " is not a number of nanoseconds from 0 to 1e9");
      }
      costs.*field->member = static_cast<Time>(std::llround(*ns * static_cast<double>(kNs)));
    }
  } catch (const toml::parse_error& error) {
    std::ostringstream text;
    text << path << ":" << error.source().begin.line << ": " << error.description();
    return tl::unexpected(text.str());
  }
  return costs;
}

std::string CostsToml(const Costs& costs, std::string_view heading, const CostRemarks& remarks) {
  std::string text = "# " + std::string(heading) + "\n";
  for (size_t i = 0; i < kFields.size(); ++i) {
    char number[32];
    std::snprintf(number, sizeof number, "%.1f",
                  static_cast<double>(costs.*kFields[i].member) / static_cast<double>(kNs));
    text.append(kFields[i].name).append(" = ").append(number);
    if (!remarks[i].empty()) text.append("  # ").append(remarks[i]);
    text += '\n';
  }
  return text;
}

}  // namespace sluice::sim
