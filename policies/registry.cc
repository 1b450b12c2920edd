// registry.cc - makes policies by name, and says what is wrong with a name.
#include "policies/registry.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <type_traits>
#include <utility>
#include <vector>

#include "iokernel/abi/check.h"

namespace sluice {
namespace {

template <PickPolicy P>
class PickAdapter final : public PickInterface {
 public:
  PickAdapter(uint16_t kthreads, std::span<const CoreId> sibling) : policy_(kthreads, sibling) {}
  KthreadId Pick(const AppView& view, CoreId core) override { return policy_.Pick(view, core); }
  void OnRun(KthreadId kthread, CoreId core) override { policy_.OnRun(kthread, core); }
  void OnPark(KthreadId kthread, CoreId core) override { policy_.OnPark(kthread, core); }

 private:
  P policy_;
};

template <CongestionPolicy P>
class CongestionAdapter final : public CongestionInterface {
 public:
  explicit CongestionAdapter(const CongestionOptions& options) : policy_(options) {}
  void Attach(AppId app, uint16_t kthreads) override { policy_.Attach(app, kthreads); }
  void Detach(AppId app) override { policy_.Detach(app); }
  Congestion Poll(AppId app, std::span<const KthreadSignals> signals, Ticks now) override {
    return policy_.Poll(app, signals, now);
  }
  void OnGrant(AppId app, Ticks now) override { policy_.OnGrant(app, now); }

 private:
  P policy_;
};

template <PlacementPolicy P>
class PlacementAdapter final : public PlacementInterface {
 public:
  PlacementChoice Choose(const MachineView& machine, AppId app) override { return policy_.Choose(machine, app); }

 private:
  P policy_;
};

// Calls f(std::type_identity<P>()) for the P of the list that is called `name`; false if there is none.
template <class... P, class F>
bool WithPolicy(PolicyTypes<P...> /*list*/, std::string_view name, F&& f) {
  return ((P::kName == name && (f(std::type_identity<P>()), true)) || ...);
}

template <class... P>
constexpr auto Describe(PolicyKind kind, PolicyTypes<P...> /*list*/) {
  return std::array<PolicyInfo, sizeof...(P)>{PolicyInfo{kind, P::kName, P::kSummary}...};
}

template <size_t... N>
constexpr auto Join(const std::array<PolicyInfo, N>&... parts) {
  std::array<PolicyInfo, (N + ...)> all{};
  size_t at = 0;
  ((std::copy(parts.begin(), parts.end(), all.begin() + at), at += N), ...);
  return all;
}

constexpr auto kPolicies = Join(
    Describe(PolicyKind::kSteering, SteeringPolicies()), Describe(PolicyKind::kPick, PickPolicies()),
    Describe(PolicyKind::kCongestion, CongestionPolicies()), Describe(PolicyKind::kPlacement, PlacementPolicies()));

// Levenshtein: the least number of characters to insert, delete or replace.
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); i++) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); j++) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = std::exchange(row[j], std::min({replaced, row[j] + 1, row[j - 1] + 1}));
    }
  }
  return row.back();
}

}  // namespace

std::span<const PolicyInfo> PolicyList() { return kPolicies; }

std::string_view PolicyKindName(PolicyKind kind) {
  switch (kind) {
    case PolicyKind::kSteering:
      return "steering";
    case PolicyKind::kPick:
      return "pick";
    case PolicyKind::kCongestion:
      return "congestion";
    case PolicyKind::kPlacement:
      return "placement";
  }
  SLUICE_CHECK(false, "a policy kind that is none");
}

bool IsPolicy(PolicyKind kind, std::string_view name) {
  return std::any_of(kPolicies.begin(), kPolicies.end(),
                     [&](const PolicyInfo& p) { return p.kind == kind && p.name == name; });
}

std::string_view NearestName(PolicyKind kind, std::string_view name) {
  std::string_view nearest;
  // Half the letters may be wrong; beyond that a suggestion is noise.
  size_t least = name.size() / 2 + 1;
  for (const PolicyInfo& p : kPolicies) {
    if (p.kind != kind) continue;
    // The start of a long name counts as a near miss: "flow" for "flow-affinity".
    const bool starts = name.size() >= 3 && p.name.substr(0, name.size()) == name;
    const size_t distance = starts ? 0 : EditDistance(name, p.name);
    if (distance < least) {
      least = distance;
      nearest = p.name;
    }
  }
  return nearest;
}

std::string UnknownPolicy(PolicyKind kind, std::string_view name) {
  std::string text =
      "there is no " + std::string(PolicyKindName(kind)) + " policy \"" + std::string(name) + "\", only ";
  std::string_view separator;
  for (const PolicyInfo& p : kPolicies) {
    if (p.kind != kind) continue;
    text.append(separator).append(p.name);
    separator = ", ";
  }
  const std::string_view nearest = NearestName(kind, name);
  if (!nearest.empty()) text.append("; did you mean ").append(nearest).append("?");
  return text;
}

tl::expected<SteeringVariant, std::string> MakeSteering(std::string_view name, const SteeringOptions& options) {
  tl::expected<SteeringVariant, std::string> made = tl::unexpected(UnknownPolicy(PolicyKind::kSteering, name));
  WithPolicy(SteeringPolicies(), name, [&]<class P>(std::type_identity<P>) {
    // A policy whose making can fail, for want of memory, says so with a static Make.
    if constexpr (requires { P::Make(options); }) {
      made = P::Make(options).map([](P&& policy) { return SteeringVariant(std::move(policy)); });
    } else {
      made = SteeringVariant(P(options));
    }
  });
  return made;
}

uint64_t SteeringMemoryBytes(std::string_view name, uint32_t flows) {
  uint64_t bytes = 0;
  WithPolicy(SteeringPolicies(), name, [&]<class P>(std::type_identity<P>) {
    if constexpr (requires { P::MemoryBytes(flows); }) bytes = P::MemoryBytes(flows);
  });
  return bytes;
}

std::unique_ptr<PickInterface> MakePick(std::string_view name, uint16_t kthreads, std::span<const CoreId> sibling) {
  std::unique_ptr<PickInterface> made;
  WithPolicy(PickPolicies(), name,
             [&]<class P>(std::type_identity<P>) { made = std::make_unique<PickAdapter<P>>(kthreads, sibling); });
  SLUICE_CHECK(made != nullptr, "MakePick with a name that IsPolicy does not know");
  return made;
}

std::unique_ptr<CongestionInterface> MakeCongestion(std::string_view name, const CongestionOptions& options) {
  std::unique_ptr<CongestionInterface> made;
  WithPolicy(CongestionPolicies(), name,
             [&]<class P>(std::type_identity<P>) { made = std::make_unique<CongestionAdapter<P>>(options); });
  SLUICE_CHECK(made != nullptr, "MakeCongestion with a name that IsPolicy does not know");
  return made;
}

std::unique_ptr<PlacementInterface> MakePlacement(std::string_view name) {
  std::unique_ptr<PlacementInterface> made;
  WithPolicy(PlacementPolicies(), name,
             [&]<class P>(std::type_identity<P>) { made = std::make_unique<PlacementAdapter<P>>(); });
  SLUICE_CHECK(made != nullptr, "MakePlacement with a name that IsPolicy does not know");
  return made;
}

}  // namespace sluice
