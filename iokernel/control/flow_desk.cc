// flow_desk.cc - see flow_desk.h.
#include "iokernel/control/flow_desk.h"

#include <nlohmann/json.hpp>

#include "iokernel/abi/check.h"
#include "iokernel/control/units.h"

namespace sluice {
namespace {

using Json = nlohmann::ordered_json;
using abi::AnswerCode;

tl::unexpected<Refusal> NotPossible(std::string sentence) {
  return tl::make_unexpected(Refusal{AnswerCode::kNotPossible, std::move(sentence)});
}

std::string End(uint32_t address, uint16_t port) { return FormatIpv4(address) + ":" + std::to_string(port); }

Json Flow(const FiveTuple& tuple, uint32_t hash) {
  char hex[11];
  std::snprintf(hex, sizeof hex, "0x%08x", hash);
  return {{"source", End(tuple.source, tuple.source_port)},
          {"destination", End(tuple.destination, tuple.destination_port)},
          {"protocol", tuple.protocol == 6 ? "tcp" : "udp"},
          {"hash", hex}};
}

// A number, or nothing where `none` stands for that.
Json Unless(uint16_t value, uint16_t none) { return value == none ? Json(nullptr) : Json(value); }

}  // namespace

const Tenant* FlowDesk::Attached(AppId app) const {
  for (const Tenant* tenant : tenants_.List()) {
    if (tenant->params.id == app && tenant->stage == Tenant::Stage::kAttached && !tenant->leaving) return tenant;
  }
  return nullptr;
}

const Tenant* FlowDesk::Owner(uint32_t address) const {
  for (const Tenant* tenant : tenants_.List()) {
    if (tenant->params.address == address && Attached(tenant->params.id) != nullptr) return tenant;
  }
  return nullptr;
}

std::optional<FlowDesk::Done> FlowDesk::Take(uint64_t session, const CommandWish& wish) {
  auto job = std::make_unique<Job>();
  job->session = session;
  job->wish = wish;
  FlowRequest& request = job->question.flow;
  if (wish.verb == CommandVerb::kFlowList) {
    request.kind = FlowRequest::Kind::kList;
    for (const Tenant* tenant : tenants_.List()) {
      if (Attached(tenant->params.id) == nullptr) continue;
      const bool named = tenant->params.name == wish.app;
      if (named || (wish.app.empty() && KeepsFlows(tenant->params.steering))) job->later.push_back(tenant->params.id);
    }
    if (!wish.app.empty() && job->later.empty()) {
      return Done{session, NotPossible("no app named " + wish.app + " is attached")};
    }
    return ListNext(std::move(job));
  }
  const Tenant* tenant = Owner(wish.tuple.destination);
  if (tenant == nullptr) {
    return Done{session, NotPossible("no attached app has the address " + FormatIpv4(wish.tuple.destination))};
  }
  job->app = tenant->params.id;
  request.kind = wish.verb == CommandVerb::kExplain   ? FlowRequest::Kind::kExplain
                 : wish.verb == CommandVerb::kFlowAdd ? FlowRequest::Kind::kAdd
                                                      : FlowRequest::Kind::kRemove;
  const FiveTuple& tuple = wish.tuple;
  request.tuple = tuple;
  request.hash = toeplitz_.Hash(tuple.source, tuple.destination, tuple.source_port, tuple.destination_port);
  request.home = wish.home;
  Ask(std::move(job));
  return std::nullopt;
}

void FlowDesk::Ask(std::unique_ptr<Job> job) {
  FlowQuestion& question = job->question;
  question.answered = false;
  const AppId app = job->app;
  asked_.emplace(&question, std::move(job));
  tenants_.Ask(app, question);
}

std::optional<FlowDesk::Done> FlowDesk::ListNext(std::unique_ptr<Job> job) {
  while (!job->later.empty()) {
    job->app = job->later.back();
    job->later.pop_back();
    if (Attached(job->app) == nullptr) continue;  // gone meanwhile
    job->question.flow.cursor = kListStart;
    Ask(std::move(job));
    return std::nullopt;
  }
  return Done{job->session, "{\"flows\":[" + job->listed + "]}"};
}

std::optional<FlowDesk::Done> FlowDesk::OnAnswer(FlowQuestion& question) {
  const auto found = asked_.find(&question);
  SLUICE_CHECK(found != asked_.end(), "the loop answers a question that nobody asked");
  std::unique_ptr<Job> job = std::move(found->second);
  asked_.erase(found);
  const FlowRequest& request = job->question.flow;
  const Tenant* tenant = Attached(job->app);
  const bool gone = !job->question.answered || tenant == nullptr;
  if (job->wish.verb == CommandVerb::kFlowList) {
    if (gone) return ListNext(std::move(job));
    if (request.error != FlowError::kNone && !job->wish.app.empty()) {
      return Done{job->session, NotPossible(DescribeError(request))};
    }
    for (uint32_t i = 0; i < request.count; ++i) {
      Json flow = Flow(request.flows[i].tuple, request.flows[i].hash);
      flow["app"] = tenant->params.name;
      flow["home"] = Unless(request.flows[i].home, kAnyHome);
      job->listed += (job->listed.empty() ? "" : ",") + flow.dump();
    }
    if (request.count < kFlowsPerList) return ListNext(std::move(job));
    Ask(std::move(job));
    return std::nullopt;
  }
  if (gone) return Done{job->session, NotPossible("the app has gone")};
  if (request.error != FlowError::kNone) return Done{job->session, NotPossible(DescribeError(request))};
  if (job->wish.verb == CommandVerb::kExplain) return Done{job->session, Explanation(*job, *tenant)};
  Json json = Flow(request.tuple, request.hash);
  json["app"] = tenant->params.name;
  if (job->wish.verb == CommandVerb::kFlowAdd) json["home"] = Unless(request.home, kAnyHome);
  return Done{job->session, json.dump()};
}

std::string FlowDesk::Explanation(const Job& job, const Tenant& tenant) const {
  const FlowQuestion& question = job.question;
  const SteeringAnswer& answer = question.flow.answer;
  Json json = Flow(question.flow.tuple, question.flow.hash);
  json["app"] = tenant.params.name;
  json["steering"] = tenant.params.steering;
  json["kthread"] = Unless(answer.kthread, kNoKthread);
  json["core"] = Unless(question.core, kNoCore);
  json["cpu"] = question.core < config_.core_cpus.size() ? Json(config_.core_cpus[question.core]) : Json(nullptr);
  json["waiting_packets"] = question.waiting;
  json["home"] = Unless(answer.home, kAnyHome);
  json["home_core"] = Unless(answer.home_core, kNoCore);
  json["why"] = Describe(answer.reason);
  return json.dump();
}

}  // namespace sluice
