// flow_request.cc - finds out what the app's steering policy can do, and does it.
#include "policies/flow_request.h"

#include <utility>

namespace sluice {
namespace {

// A policy that keeps flows: those of FlowAffinity, and of whoever has the same verbs.
template <class P>
concept FlowKeeper = requires(P p, const FlowRequest& r, uint32_t* cursor, std::span<InstalledFlow> out) {
  p.Install(r.hash, r.tuple, r.home);
  p.Remove(r.hash, r.tuple);
  p.List(cursor, out);
};

template <FlowKeeper P>
void AnswerKeeper(FlowRequest& request, P& policy) {
  request.error = FlowError::kNone;
  if (request.kind == FlowRequest::Kind::kAdd) {
    const auto home = policy.Install(request.hash, request.tuple, request.home);
    if (home) {
      request.home = *home;
    } else {
      request.error = home.error();
    }
  } else if (request.kind == FlowRequest::Kind::kRemove) {
    if (!policy.Remove(request.hash, request.tuple)) request.error = FlowError::kNotThere;
  } else {
    request.count = static_cast<uint32_t>(policy.List(&request.cursor, request.flows));
  }
}

}  // namespace

void Answer(FlowRequest& request, SteeringVariant& steering, const AppView& view) {
  std::visit(
      [&]<class P>(P& policy) {
        if (request.kind == FlowRequest::Kind::kExplain) {
          request.error = FlowError::kNone;
          request.answer = {};
          if constexpr (requires { policy.Explain(view, request.hash); }) {
            request.answer = std::as_const(policy).Explain(view, request.hash);
          }
        } else if constexpr (FlowKeeper<P>) {
          AnswerKeeper(request, policy);
        } else {
          request.error = FlowError::kNoTable;
        }
      },
      steering);
}

std::string DescribeError(const FlowRequest& request) {
  switch (request.error) {
    case FlowError::kNone:
      return {};
    case FlowError::kNoTable:
      return "the steering policy of the app keeps no flows; attach it with flow-affinity or flow-affinity-hybrid";
    case FlowError::kFull:
      return "no room in the app's flow table; remove installed flows, or raise `flows` in its config";
    case FlowError::kNoSuchHome:
      return "the app has no home " + std::to_string(request.home) + "; homes are 0 to its number of kthreads - 1";
    case FlowError::kHashTaken:
      return "another installed flow has the same hash " + std::to_string(request.hash) +
             ", and the table knows flows by their hash";
    case FlowError::kNotThere:
      return "no such flow is installed";
  }
  return {};
}

bool KeepsFlows(std::string_view steering) { return SteeringMemoryBytes(steering, 1) != 0; }

}  // namespace sluice
