// calibrate_profile.cc - all that `simulator calibrate` measures, as a profile that says what was measured and how.
#include <array>
#include <string_view>

#include "apps/simulator/calibrate.h"
#include "apps/simulator/commands.h"

namespace sluice::sim {
namespace {

constexpr std::string_view kDefault = "default, not measured";

class Profile {
 public:
  Profile() { remarks_.fill(kDefault); }
  void Set(Time Costs::*cost, Time value, std::string_view how = {}) {
    costs_.*cost = value;
    for (size_t i = 0; i < remarks_.size(); ++i) {
      if (CostFields()[i].member == cost) remarks_[i] = how;
    }
  }
  [[nodiscard]] std::string Toml(std::string_view heading) const { return CostsToml(costs_, heading, remarks_); }

 private:
  Costs costs_;
  CostRemarks remarks_;
};

void MeasureAlone(Profile* profile, const FlowTableCosts& table) {
  const Time pass = MeasurePass(0);
  const Time pass_of_64 = MeasurePass(64);
  profile->Set(&Costs::pass, pass);
  profile->Set(&Costs::poll, pass_of_64 > pass ? (pass_of_64 - pass) / 64 : 0);
  profile->Set(&Costs::flow_lookup, table.lookup);
  profile->Set(&Costs::flow_insert, table.insert);
}

void MeasureBetween(Profile* profile, uint32_t other) {
  const Time hop = MeasureHop(other);
  profile->Set(&Costs::ring_hop, hop);
  profile->Set(&Costs::steal, 2 * hop, "two ring_hop");
  const Handing wake = MeasureWake(other);
  profile->Set(&Costs::grant, wake.caller);
  profile->Set(&Costs::wake, wake.there);
  const Handing signal = MeasureSignal(other);
  profile->Set(&Costs::signal, signal.caller);
  profile->Set(&Costs::preempt, signal.there);
  profile->Set(&Costs::slice, signal.after);
  profile->Set(&Costs::cold_core, MeasureCold(other, kKthreadLines));
  profile->Set(&Costs::cold_flow, MeasureCold(other, kFlowLines));
}

}  // namespace

tl::expected<std::string, std::string> Calibrate() {
  const std::vector<uint32_t> cpus = AllowedCpus();
  // DPDK's environment, which this starts, leaves the caller on all CPUs that it may use: before PinTo.
  const auto table = MeasureFlowTable();
  if (!table) return tl::unexpected(table.error());
  PinTo(cpus.front());
  Profile profile;
  MeasureAlone(&profile, *table);
  std::string heading = "Modelled costs, as `simulator calibrate` has measured them, ";
  if (cpus.size() == 1) return profile.Toml(heading + "on CPU " + std::to_string(cpus[0]) + " alone.");
  MeasureBetween(&profile, cpus[1]);
  return profile.Toml(heading + "on CPU " + std::to_string(cpus[0]) + " and from there to CPU " +
                      std::to_string(cpus[1]) + ".");
}

}  // namespace sluice::sim
