// registry.cc - makes policies by name, and says what is wrong with a name.
#include "policies/registry.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <type_traits>
#include <utility>
#include <vector>

#include "iokernel/abi/check.h"
#include "policies/parameters.h"

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

template <class P>
concept TakesParameters = requires(std::string_view parameters) {
  P::kUsage;
  { P::Accepts(parameters) } -> std::same_as<bool>;
};

template <class P>
constexpr std::string_view Usage() {
  if constexpr (TakesParameters<P>) {
    return P::kUsage;
  } else {
    return {};
  }
}

// A colon says that there are parameters, so that "delay:" is a mistake.
template <class P>
bool Suits(std::string_view text) {
  const auto [name, parameters] = SplitPolicy(text);
  if (name != P::kName) return false;
  if (name.size() == text.size()) return true;
  if constexpr (TakesParameters<P>) {
    return P::Accepts(parameters);
  } else {
    return false;
  }
}

// Calls f(std::type_identity<P>()) for the P of the list that `text` means; false if there is none.
template <class... P, class F>
bool WithPolicy(PolicyTypes<P...> /*list*/, std::string_view text, F&& f) {
  return ((Suits<P>(text) && (f(std::type_identity<P>()), true)) || ...);
}

template <class... P>
constexpr auto Describe(PolicyKind kind, PolicyTypes<P...> /*list*/) {
  return std::array<PolicyInfo, sizeof...(P)>{PolicyInfo{kind, P::kName, P::kSummary, Usage<P>()}...};
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

bool IsPolicy(PolicyKind kind, std::string_view text) {
  const auto ignore = [](auto) {};
  switch (kind) {
    case PolicyKind::kSteering:
      return WithPolicy(SteeringPolicies(), text, ignore);
    case PolicyKind::kPick:
      return WithPolicy(PickPolicies(), text, ignore);
    case PolicyKind::kCongestion:
      return WithPolicy(CongestionPolicies(), text, ignore);
    case PolicyKind::kPlacement:
      return WithPolicy(PlacementPolicies(), text, ignore);
  }
  SLUICE_CHECK(false, "a policy kind that is none");
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

std::string AllowedPolicies(PolicyKind kind, std::string_view text) {
  std::string names;
  for (const PolicyInfo& p : kPolicies) {
    if (p.kind != kind) continue;
    if (p.name == SplitPolicy(text).name) return std::string(p.usage.empty() ? p.name : p.usage);
    names.append(names.empty() ? "" : ", ").append(p.name);
  }
  return names;
}

std::string UnknownPolicy(PolicyKind kind, std::string_view text) {
  const std::string_view nearest = NearestName(kind, SplitPolicy(text).name);
  const bool only_parameters = nearest == SplitPolicy(text).name;
  std::string sentence = "there is no " + std::string(PolicyKindName(kind)) + " policy \"" + std::string(text) +
                         "\", only " + AllowedPolicies(kind, text);
  if (!nearest.empty() && !only_parameters) sentence.append("; did you mean ").append(nearest).append("?");
  return sentence;
}

tl::expected<SteeringVariant, std::string> MakeSteering(std::string_view text, const SteeringOptions& options) {
  tl::expected<SteeringVariant, std::string> made = tl::unexpected(UnknownPolicy(PolicyKind::kSteering, text));
  WithPolicy(SteeringPolicies(), text, [&]<class P>(std::type_identity<P>) {
    // A policy whose making can fail, for want of memory, says so with a static Make.
    if constexpr (requires { P::Make(options); }) {
      made = P::Make(options).map([](P&& policy) { return SteeringVariant(std::move(policy)); });
    } else {
      made = SteeringVariant(P(options));
    }
  });
  return made;
}

uint64_t SteeringMemoryBytes(std::string_view text, uint32_t flows) {
  uint64_t bytes = 0;
  WithPolicy(SteeringPolicies(), text, [&]<class P>(std::type_identity<P>) {
    if constexpr (requires { P::MemoryBytes(flows); }) bytes = P::MemoryBytes(flows);
  });
  return bytes;
}

std::unique_ptr<PickInterface> MakePick(std::string_view text, uint16_t kthreads, std::span<const CoreId> sibling) {
  std::unique_ptr<PickInterface> made;
  WithPolicy(PickPolicies(), text,
             [&]<class P>(std::type_identity<P>) { made = std::make_unique<PickAdapter<P>>(kthreads, sibling); });
  SLUICE_CHECK(made != nullptr, "MakePick with what IsPolicy does not know");
  return made;
}

std::unique_ptr<CongestionInterface> MakeCongestion(std::string_view text, const CongestionOptions& options) {
  CongestionOptions all = options;
  all.parameters = SplitPolicy(text).parameters;
  std::unique_ptr<CongestionInterface> made;
  WithPolicy(CongestionPolicies(), text,
             [&]<class P>(std::type_identity<P>) { made = std::make_unique<CongestionAdapter<P>>(all); });
  SLUICE_CHECK(made != nullptr, "MakeCongestion with what IsPolicy does not know");
  return made;
}

std::unique_ptr<PlacementInterface> MakePlacement(std::string_view text) {
  std::unique_ptr<PlacementInterface> made;
  WithPolicy(PlacementPolicies(), text,
             [&]<class P>(std::type_identity<P>) { made = std::make_unique<PlacementAdapter<P>>(); });
  SLUICE_CHECK(made != nullptr, "MakePlacement with what IsPolicy does not know");
  return made;
}

}  // namespace sluice
