#include "apps/simulator/engine/replay.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>
#include <vector>

#include "iokernel/brain/record_reader.h"
#include "policies/registry.h"

namespace sluice::sim {
namespace {

using record::Cause;

// The machine as the log tells it, and the policies beside it.
class Shadow {
 public:
  Shadow(const AllocatorOptions& options, ReplayResult* result)
      : result_(*result),
        interval_(options.interval),
        congestion_(MakeCongestion(result->asked.congestion, CongestionOf(options))),
        placement_(options, result->asked.placement, &result->placement),
        on_core_(options.cores.size(), kNoApp) {
    for (const CoreSpec& core : options.cores) sibling_.push_back(core.sibling);
  }

  void On(const record::RecordAttach& r) {
    congestion_->Attach(r.head.app, r.kthreads);
    App& app = apps_[r.head.app];
    app = {.pick = MakePick(result_.asked.pick, r.kthreads, sibling_), .kthreads = r.kthreads, .waiting = {}};
    placement_.On(r);
  }
  void On(const record::RecordDetach& r) {
    congestion_->Detach(r.head.app);
    std::replace(on_core_.begin(), on_core_.end(), r.head.app, kNoApp);
    apps_.erase(r.head.app);
    placement_.On(r);
  }
  void On(const record::Poll& poll) {
    const record::RecordPoll& r = poll.fixed;
    if (poll.samples.empty()) {
      result_.polls_unseen += r.polls;
      return;
    }
    std::vector<KthreadSignals> signals, before;
    for (const record::KthreadSample& sample : poll.samples) {
      signals.push_back(record::Signals(sample, r.head.time));
      before.push_back(record::QuietBefore(signals.back()));
    }
    if (r.polls > 1) (void)congestion_->Poll(r.head.app, before, r.head.time - interval_);
    const auto verdict = static_cast<size_t>(congestion_->Poll(r.head.app, signals, r.head.time));
    if (r.verdict < 3 && verdict < 3) result_.verdicts[r.verdict][verdict]++;
  }
  void On(const record::RecordWork& r) {
    if (r.kthread != record::kNobody) apps_[r.head.app].waiting.insert(r.kthread);
  }
  void On(const record::RecordGrant& r) {
    App& app = apps_[r.head.app];
    if (app.pick == nullptr || r.core >= on_core_.size() || r.kthread >= app.kthreads) return;
    if (r.cause != Cause::kSnapshot) {
      result_.grants++;
      // A kthread whose packets, timers or uthreads wait comes before any pick.
      const bool picked = r.cause != Cause::kTimer && r.cause != Cause::kUthread;
      if (picked && app.waiting.empty()) ComparePick(app, r);
    }
    app.waiting.erase(r.kthread);
    app.pick->OnRun(r.kthread, r.core);
    congestion_->OnGrant(r.head.app, r.head.time);
    on_core_[r.core] = r.head.app;
    placement_.On(r);
  }
  void On(const record::RecordStart&) {}
  void On(const record::RecordPark& r) { Leave(r.head.app, r.kthread, r.core); }
  void On(const record::RecordEvict& r) { Leave(r.head.app, r.kthread, r.core); }
  void On(const record::RecordCede& r) {
    result_.cedes++;
    placement_.On(r);
  }
  void On(const record::RecordTurn&) {}  // no policy decides of it
  void On(const record::RecordRefuse&) {}
  void On(const record::RecordDropped& r) { result_.dropped += r.records; }
  void On(const record::RecordEnd&) {}

 private:
  struct App {
    std::unique_ptr<PickInterface> pick;
    uint16_t kthreads = 0;
    std::set<KthreadId> waiting;
  };

  static CongestionOptions CongestionOf(const AllocatorOptions& options) {
    CongestionOptions made;
    made.interval = options.interval;
    made.rate = options.rate;
    return made;
  }
  void Leave(AppId id, KthreadId k, CoreId core) {
    if (core >= on_core_.size() || on_core_[core] != id) return;
    on_core_[core] = kNoApp;
    placement_.Left(id, core);
    if (apps_[id].pick != nullptr && k < apps_[id].kthreads) apps_[id].pick->OnPark(k, core);
  }
  void ComparePick(App& app, const record::RecordGrant& r) {
    AppView view;
    view.id = r.head.app;
    view.max_kthreads = app.kthreads;
    result_.picks++;
    result_.other_picks += app.pick->Pick(view, r.core) != r.kthread;
  }
  ReplayResult& result_;
  const Ticks interval_;
  std::unique_ptr<CongestionInterface> congestion_;
  PlacementReplay placement_;
  std::vector<AppId> on_core_;  // by core
  std::vector<CoreId> sibling_;
  std::map<AppId, App> apps_;
};

// "core 3, idle", "core 3 of app 1", "none".
std::string Say(const CoreSource& source) {
  if (source.core == kNoCore) return "none";
  const std::string core = "core " + std::to_string(source.core);
  return source.from == kNoApp ? core + ", idle" : core + " of app " + std::to_string(source.from);
}

}  // namespace

uint64_t ReplayResult::OtherVerdicts() const {
  uint64_t other = 0;
  for (size_t was = 0; was < 3; ++was) {
    for (size_t is = 0; is < 3; ++is) other += was == is ? 0 : verdicts[was][is];
  }
  return other;
}

tl::expected<void, std::string> CheckPolicies(const ReplayPolicies& asked) {
  for (const auto& [kind, name] : {std::pair{PolicyKind::kCongestion, &asked.congestion},
                                   {PolicyKind::kPick, &asked.pick},
                                   {PolicyKind::kPlacement, &asked.placement}}) {
    if (!name->empty() && !IsPolicy(kind, *name)) return tl::unexpected(UnknownPolicy(kind, *name));
  }
  return {};
}

tl::expected<ReplayResult, std::string> Replay(std::span<const std::byte> log, const ReplayPolicies& asked) {
  auto reader = record::Reader::Open(log);
  if (!reader) return tl::unexpected(reader.error());
  const AllocatorOptions options = reader->Options();
  ReplayResult result;
  result.recorded = {options.congestion, options.pick, options.placement};
  result.start = reader->header().start_ticks;
  result.tick_hz = static_cast<double>(reader->header().tsc_hz);
  result.asked = asked;
  if (asked.congestion.empty()) result.asked.congestion = options.congestion;
  if (asked.pick.empty()) result.asked.pick = options.pick;
  if (asked.placement.empty()) result.asked.placement = options.placement;
  if (auto checked = CheckPolicies(result.asked); !checked) return tl::unexpected(checked.error());
  Shadow shadow(options, &result);
  uint64_t last = reader->header().start_ticks;
  for (;;) {
    const auto next = reader->Next();
    if (!next) return tl::unexpected(next.error());
    if (!*next) break;
    result.records++;
    last = record::Head(**next).time;
    std::visit([&](const auto& r) { shadow.On(r); }, **next);
  }
  result.complete = reader->complete();
  result.seconds = static_cast<double>(last - result.start) / result.tick_hz;
  return result;
}

std::string ReplayText(const ReplayResult& result) {
  static constexpr std::array<const char*, 3> kVerdicts = {"keep", "add a core", "give one up"};
  char line[256];
  std::string text;
  const auto say = [&](const char* format, auto... values) {
    std::snprintf(line, sizeof line, format, values...);
    text += line;
  };
  const auto number = [](uint64_t n) { return static_cast<unsigned long long>(n); };
  say("%llu records over %.3f s%s, %llu dropped; %llu grants, %llu cores asked back\n", number(result.records),
      result.seconds, result.complete ? "" : " (cut off)", number(result.dropped), number(result.grants),
      number(result.cedes));
  say("congestion: %s as recorded, %s asked\n", result.recorded.congestion.c_str(), result.asked.congestion.c_str());
  for (size_t was = 0; was < 3; ++was) {
    for (size_t is = 0; is < 3; ++is) {
      if (result.verdicts[was][is] > 0) {
        say("  %s -> %s: %llu\n", kVerdicts[was], kVerdicts[is], number(result.verdicts[was][is]));
      }
    }
  }
  say("pick: %s, %s asked: another kthread in %llu of %llu picks\n", result.recorded.pick.c_str(),
      result.asked.pick.c_str(), number(result.other_picks), number(result.picks));
  const PlacementComparison& placement = result.placement;
  say("placement: %s, %s asked: of %llu cores given another one in %llu cases, from another app in %llu, none in %llu; "
      "%llu cannot be judged from the log\n",
      result.recorded.placement.c_str(), result.asked.placement.c_str(), number(placement.decisions),
      number(placement.other_core), number(placement.other_owner), number(placement.none), number(placement.unseen));
  for (const PlacementChange& change : placement.first) {
    say("  %.6f s, app %u: %s, asked: %s\n", static_cast<double>(change.time - result.start) / result.tick_hz,
        unsigned{change.app}, Say(change.recorded).c_str(), Say(change.asked).c_str());
  }
  return text;
}

std::string ReplayJson(const ReplayResult& result) {
  const nlohmann::ordered_json json = {{"congestion_recorded", result.recorded.congestion},
                                       {"congestion", result.asked.congestion},
                                       {"pick_recorded", result.recorded.pick},
                                       {"pick", result.asked.pick},
                                       {"placement_recorded", result.recorded.placement},
                                       {"placement", result.asked.placement},
                                       {"seconds", result.seconds},
                                       {"complete", result.complete},
                                       {"records", result.records},
                                       {"dropped", result.dropped},
                                       {"grants", result.grants},
                                       {"cedes", result.cedes},
                                       {"verdicts", result.verdicts},
                                       {"other_verdicts", result.OtherVerdicts()},
                                       {"polls_unseen", result.polls_unseen},
                                       {"picks", result.picks},
                                       {"other_picks", result.other_picks},
                                       {"placements", result.placement.decisions},
                                       {"placements_unseen", result.placement.unseen},
                                       {"placements_other_core", result.placement.other_core},
                                       {"placements_other_owner", result.placement.other_owner},
                                       {"placements_none", result.placement.none}};
  return json.dump();
}

}  // namespace sluice::sim
