// registry.h - the only place that lists policies. Adding one: its header, and its name in one list below.
//
// Steering is inlined into the packet path: MakeSteering gives a variant that the loop visits once per app and
// burst. The other kinds are called once per decision, through one indirect call, and are made by name.
// All makers are called on the control thread; what they made is used by one thread and freed by the control thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <variant>

#include "policies/concepts.h"
#include "policies/congestion/delay.h"
#include "policies/congestion/priority_heap.h"
#include "policies/congestion/standing_queue.h"
#include "policies/congestion/utilization.h"
#include "policies/pick/lru.h"
#include "policies/pick/memoized.h"
#include "policies/pick/scan.h"
#include "policies/placement/numa.h"
#include "policies/placement/sibling_aware.h"
#include "policies/placement/simple.h"
#include "policies/steering/flow_affinity.h"
#include "policies/steering/flow_affinity_hybrid.h"
#include "policies/steering/flow_table.h"
#include "policies/steering/null.h"
#include "policies/steering/round_robin.h"
#include "policies/steering/rss.h"

namespace sluice {

template <class... P>
struct PolicyTypes {};

// The lists. The order is the order of --list-policies; the first of each is the default.
using SteeringPolicies = PolicyTypes<Rss, RoundRobin, FlowTable, FlowAffinity, FlowAffinityHybrid>;
using PickPolicies = PolicyTypes<MemoizedPick, ScanPick, LruPick>;
using CongestionPolicies = PolicyTypes<StandingQueue, DelayCongestion, UtilizationCongestion, PriorityHeap>;
using PlacementPolicies = PolicyTypes<SimplePlacement, SiblingAwarePlacement, NumaPlacement>;

namespace detail {
template <class List>
struct SteeringVariantOf;
template <class... P>
struct SteeringVariantOf<PolicyTypes<P...>> {
  using Type = std::variant<NullSteering, P...>;
};
}  // namespace detail

// Empty (default-made): NullSteering.
using SteeringVariant = detail::SteeringVariantOf<SteeringPolicies>::Type;

// The other kinds behind one indirect call each; shapes and meaning as in concepts.h.
class PickInterface {
 public:
  virtual ~PickInterface() = default;
  virtual KthreadId Pick(const AppView& view, CoreId core) = 0;
  virtual void OnRun(KthreadId kthread, CoreId core) = 0;
  virtual void OnPark(KthreadId kthread, CoreId core) = 0;
};

class CongestionInterface {
 public:
  virtual ~CongestionInterface() = default;
  virtual void Attach(AppId app, uint16_t kthreads) = 0;
  virtual void Detach(AppId app) = 0;
  virtual Congestion Poll(AppId app, std::span<const KthreadSignals> signals, Ticks now) = 0;
  virtual void OnGrant(AppId app, Ticks now) = 0;
};

class PlacementInterface {
 public:
  virtual ~PlacementInterface() = default;
  virtual PlacementChoice Choose(const MachineView& machine, AppId app) = 0;
};

enum class PolicyKind : uint8_t { kSteering, kPick, kCongestion, kPlacement };

struct PolicyInfo {
  PolicyKind kind;
  std::string_view name;
  std::string_view summary;
  std::string_view usage;  // how to write it with its parameters; empty: it takes none
};

// Everywhere below, `text` is what an operator wrote: NAME, or NAME:PARAMETERS where the policy takes some (see
// policies/parameters.h). The daemon's config and flags, an app's wish and the simulator all mean the same by it.

// Every policy a user can name, kind by kind.
[[nodiscard]] std::span<const PolicyInfo> PolicyList();
// "steering", "pick", "congestion", "placement": the config key and, after "--", the flag.
[[nodiscard]] std::string_view PolicyKindName(PolicyKind kind);
[[nodiscard]] bool IsPolicy(PolicyKind kind, std::string_view text);
// The known name of that kind that `name` is most likely a misspelling of; empty if none is near.
[[nodiscard]] std::string_view NearestName(PolicyKind kind, std::string_view name);
// What could be written instead of a `text` that is no policy: the names of that kind, or how to write this one's
// parameters.
[[nodiscard]] std::string AllowedPolicies(PolicyKind kind, std::string_view text);
// A sentence about a `text` that is no policy: what is allowed, and the nearest name.
[[nodiscard]] std::string UnknownPolicy(PolicyKind kind, std::string_view text);

// Error: it is no policy, or there is no memory for the table; a sentence.
[[nodiscard]] tl::expected<SteeringVariant, std::string> MakeSteering(std::string_view text,
                                                                      const SteeringOptions& options);
// Hints::wanted for the flow that wakes a sleeping app, if the policy has a wish (concepts.h).
inline void Wish(const SteeringVariant& steering, uint32_t hash, Hints& hints) {
  std::visit(
      [&]<class P>(const P& policy) {
        if constexpr (WishesForCores<P>) policy.Wish(hash, hints);
      },
      steering);
}
// EAL memory that one steering policy of this name takes, for sizing EAL before it starts. 0: none, or unknown name.
[[nodiscard]] uint64_t SteeringMemoryBytes(std::string_view text, uint32_t flows);

// The text must be a policy (IsPolicy): the config was checked before. `sibling` outlives the policy.
// CongestionOptions::parameters is taken from the text.
[[nodiscard]] std::unique_ptr<PickInterface> MakePick(std::string_view text, uint16_t kthreads,
                                                      std::span<const CoreId> sibling);
[[nodiscard]] std::unique_ptr<CongestionInterface> MakeCongestion(std::string_view text,
                                                                  const CongestionOptions& options);
[[nodiscard]] std::unique_ptr<PlacementInterface> MakePlacement(std::string_view text);

}  // namespace sluice
