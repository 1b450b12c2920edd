#include "apps/simulator/engine/reference.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "apps/lib/parse.h"
#include "apps/simulator/engine/event_queue.h"
#include "apps/simulator/engine/fifo.h"
#include "apps/simulator/engine/index_set.h"

namespace sluice::sim {
namespace {

// Cores that work on one request at a time, each until it is done.
class Servers {
 public:
  Servers(uint16_t cores, Ledger& ledger) : working_on_(cores), idle_(cores), ledger_(ledger) {
    for (uint16_t core = 0; core < cores; ++core) idle_.Set(core, true);
  }

  [[nodiscard]] Time NextTime() const { return events_.NextTime(); }
  [[nodiscard]] uint16_t NextCore() const { return static_cast<uint16_t>(events_.Top().who); }
  [[nodiscard]] IndexSet& idle() { return idle_; }
  [[nodiscard]] uint16_t count() const { return static_cast<uint16_t>(working_on_.size()); }

  void Start(uint16_t core, const Request& request, Time now) {
    idle_.Set(core, false);
    working_on_[core] = request;
    ledger_.Steered(request, core);
    ledger_.Started(now);
    events_.Push({now + request.service, core, 0});
  }
  // The core whose time has come goes on with `next`.
  void Next(const Request& next) {
    const uint16_t core = NextCore();
    const Time now = Finish(core);
    working_on_[core] = next;
    ledger_.Steered(next, core);
    ledger_.Started(now);
    events_.ReplaceTop({now + next.service, core, 0});
  }
  void GoIdle() {
    const uint16_t core = NextCore();
    Finish(core);
    events_.Pop();
    idle_.Set(core, true);
  }

 private:
  Time Finish(uint16_t core) {
    const Time now = events_.NextTime();
    ledger_.Stopped(now);
    ledger_.Done(working_on_[core], now);
    return now;
  }

  std::vector<Request> working_on_;  // by core
  IndexSet idle_;
  EventQueue events_;  // the end of each busy core's request
  Ledger& ledger_;
};

class CentralQueue {
 public:
  CentralQueue(uint16_t cores, const std::vector<bool>& best_effort, Ledger& ledger)
      : best_effort_(best_effort), servers_(cores, ledger) {}

  [[nodiscard]] Time NextTime() const { return servers_.NextTime(); }
  void Arrive(const Request& request) {
    if (servers_.idle().empty()) {
      queues_[best_effort_[request.app]].Push(request);
    } else {
      servers_.Start(servers_.idle().From(0), request, request.arrival);
    }
  }
  void Fire() {
    for (Fifo<Request>& queue : queues_) {
      if (!queue.empty()) return servers_.Next(queue.Pop());
    }
    servers_.GoIdle();
  }

 private:
  const std::vector<bool>& best_effort_;
  Servers servers_;
  Fifo<Request> queues_[2];  // latency-critical, best-effort
};

// Work moves between cores, or not: `options` says how.
class QueuePerCore {
 public:
  QueuePerCore(uint16_t cores, const ReferenceOptions& options, uint64_t seed, Ledger& ledger)
      : options_(options),
        servers_(cores, ledger),
        queues_(cores),
        waiting_(cores),
        random_(seed, 0),
        salt_(Mix(seed)) {}

  [[nodiscard]] Time NextTime() const { return servers_.NextTime(); }
  void Arrive(const Request& request) {
    uint16_t core = Home(request);
    if (!servers_.idle().Has(core) && steals_at_once() && !servers_.idle().empty()) core = servers_.idle().From(core);
    if (servers_.idle().Has(core)) return servers_.Start(core, request, request.arrival);
    waiting_.Set(core, true);
    queues_[core].Push(request);
  }
  void Fire() {
    const uint16_t core = servers_.NextCore();
    if (!queues_[core].empty()) return servers_.Next(TakeFrom(core));
    if (options_.kind == ReferenceOptions::Kind::kStealing && !waiting_.empty()) {
      if (options_.choices == 0) return servers_.Next(TakeFrom(waiting_.From(Anyone())));
      for (uint32_t i = 0; i < options_.choices; ++i) {
        const uint16_t victim = Anyone();
        if (!queues_[victim].empty()) return servers_.Next(TakeFrom(victim));
      }
    }
    servers_.GoIdle();
  }

 private:
  [[nodiscard]] bool steals_at_once() const {
    return options_.kind == ReferenceOptions::Kind::kStealing && options_.choices == 0;
  }
  uint16_t Anyone() { return static_cast<uint16_t>(random_.Below(servers_.count())); }
  uint16_t Home(const Request& request) {
    if (options_.kind != ReferenceOptions::Kind::kShortest) {
      const uint64_t hash = Mix(salt_ + Mix((uint64_t{request.app} << 32) + request.flow + 1));
      return static_cast<uint16_t>(hash % servers_.count());
    }
    uint16_t best = Anyone();
    for (uint32_t i = 1; i < options_.choices; ++i) {
      const uint16_t other = Anyone();
      if (Length(other) < Length(best)) best = other;
    }
    return best;
  }
  // Requests at that core, the one it works on included.
  size_t Length(uint16_t core) { return queues_[core].size() + (servers_.idle().Has(core) ? 0 : 1); }
  Request TakeFrom(uint16_t core) {
    const Request request = queues_[core].Pop();
    if (queues_[core].empty()) waiting_.Set(core, false);
    return request;
  }

  const ReferenceOptions options_;
  Servers servers_;
  std::vector<Fifo<Request>> queues_;
  IndexSet waiting_;  // cores whose queue is not empty
  Random random_;
  uint64_t salt_;
};

class Sliced {
 public:
  Sliced(uint16_t cores, Time slice, Ledger& ledger)
      : slice_(slice), working_on_(cores), idle_(cores), ledger_(ledger) {
    for (uint16_t core = 0; core < cores; ++core) idle_.Set(core, true);
  }

  [[nodiscard]] Time NextTime() const { return events_.NextTime(); }
  void Arrive(const Request& request) {
    const Job job{request, request.service};
    if (idle_.empty()) return queue_.Push(job);
    const uint16_t core = idle_.From(0);
    idle_.Set(core, false);
    working_on_[core] = job;
    ledger_.Steered(request, core);
    ledger_.Started(request.arrival);
    events_.Push({request.arrival + std::min(slice_, job.left), core, 0});
  }
  void Fire() {
    const Time now = events_.NextTime();
    const auto core = static_cast<uint16_t>(events_.Top().who);
    Job& job = working_on_[core];
    job.left -= std::min(slice_, job.left);
    const bool done = job.left == 0;
    if (done) {
      ledger_.Stopped(now);
      ledger_.Done(job.request, now);
      if (queue_.empty()) {
        events_.Pop();
        idle_.Set(core, true);
        return;
      }
    } else if (!queue_.empty()) {
      ledger_.Stopped(now);
      queue_.Push(job);
    }
    if (!queue_.empty()) {
      job = queue_.Pop();
      ledger_.Steered(job.request, core);
      ledger_.Started(now);
    }
    events_.ReplaceTop({now + std::min(slice_, job.left), core, 0});
  }

 private:
  struct Job {
    Request request;
    Time left = 0;
  };
  const Time slice_;
  std::vector<Job> working_on_;  // by core
  IndexSet idle_;
  Fifo<Job> queue_;
  EventQueue events_;
  Ledger& ledger_;
};

// n requests on k cores: each gets min(1, k/n) of one. A clock that runs at that speed shows for each request the
// same time at its end, whoever comes and goes: its end on that clock is known when it arrives.
class Shared {
 public:
  Shared(uint16_t cores, Ledger& ledger) : cores_(cores), ledger_(ledger) {}

  [[nodiscard]] Time NextTime() const { return next_; }
  void Arrive(const Request& request) {
    Advance(request.arrival);
    ends_.push_back({clock_ + static_cast<double>(request.service), request});
    std::push_heap(ends_.begin(), ends_.end(), Later);
    Plan();
  }
  void Fire() {
    const Time now = next_;
    Advance(now);
    clock_ = std::max(clock_, ends_.front().at);
    ledger_.Done(ends_.front().request, now);
    std::pop_heap(ends_.begin(), ends_.end(), Later);
    ends_.pop_back();
    if (ends_.empty()) clock_ = 0;  // keeps its precision
    Plan();
  }

 private:
  struct End {
    double at;  // on the clock
    Request request;
  };
  static bool Later(const End& a, const End& b) { return a.at > b.at; }
  [[nodiscard]] double Speed() const {
    return ends_.size() <= cores_ ? 1.0 : static_cast<double>(cores_) / static_cast<double>(ends_.size());
  }
  void Advance(Time now) {
    clock_ += static_cast<double>(now - last_) * Speed();
    last_ = now;
  }
  void Plan() {
    ledger_.SetBusy(static_cast<uint32_t>(std::min<size_t>(ends_.size(), cores_)), last_);
    next_ = kNever;
    if (ends_.empty()) return;
    const double left = std::max(0.0, ends_.front().at - clock_) / Speed();
    // Rounded up: nobody is done before he has had his service.
    next_ = last_ + static_cast<Time>(std::ceil(left));
  }

  const uint16_t cores_;
  double clock_ = 0;
  Time last_ = 0;
  Time next_ = kNever;
  std::vector<End> ends_;  // a heap: the first to end
  Ledger& ledger_;
};

template <class Scheduler>
uint64_t Drive(Scheduler scheduler, RequestStream& stream, Ledger& ledger) {
  uint64_t events = 0;
  for (;; ++events) {
    const Time arrival = stream.NextArrival();
    const Time fire = scheduler.NextTime();
    if (arrival == kNever && fire == kNever) return events;
    if (fire <= arrival) {
      scheduler.Fire();
    } else {
      const Request request = stream.Take();
      ledger.Arrived(request, request.arrival);
      scheduler.Arrive(request);
    }
  }
}

}  // namespace

tl::expected<ReferenceOptions, std::string> ParseReference(std::string_view name) {
  using Kind = ReferenceOptions::Kind;
  if (name == "c-fcfs") return ReferenceOptions{Kind::kCentral};
  if (name == "d-fcfs") return ReferenceOptions{Kind::kPartitioned};
  if (name == "steal") return ReferenceOptions{Kind::kStealing};
  const size_t colon = name.find(':');
  const std::string_view kind = name.substr(0, colon);
  const std::string_view value = colon == std::string_view::npos ? std::string_view() : name.substr(colon + 1);
  if (kind == "ps") {
    const auto slice = ParseTime(value);
    if (!slice) return tl::unexpected("--scheduler ps:SLICE: " + slice.error());
    return ReferenceOptions{*slice == 0 ? Kind::kShared : Kind::kSliced, 0, *slice};
  }
  if (kind == "jsq" || kind == "steal") {
    const auto choices = apps::ParseNumber(value);
    if (!choices || *choices < 1 || *choices > 1024 || *choices != std::floor(*choices)) {
      return tl::unexpected("--scheduler " + std::string(name) + ": a number of queues from 1 to 1024 is wanted");
    }
    return ReferenceOptions{kind == "jsq" ? Kind::kShortest : Kind::kStealing, static_cast<uint32_t>(*choices)};
  }
  return tl::unexpected("there is no scheduler \"" + std::string(name) +
                        "\", only c-fcfs, d-fcfs, jsq:D, steal, steal:N, ps:SLICE, sluice");
}

uint64_t RunReference(const ReferenceOptions& options, uint16_t cores, const std::vector<bool>& best_effort,
                      uint64_t seed, RequestStream& stream, Ledger& ledger) {
  using Kind = ReferenceOptions::Kind;
  ledger.SetHeld(cores, 0);
  switch (options.kind) {
    case Kind::kCentral:
      return Drive(CentralQueue(cores, best_effort, ledger), stream, ledger);
    case Kind::kSliced:
      return Drive(Sliced(cores, options.slice, ledger), stream, ledger);
    case Kind::kShared:
      return Drive(Shared(cores, ledger), stream, ledger);
    default:
      return Drive(QueuePerCore(cores, options, seed, ledger), stream, ledger);
  }
}

}  // namespace sluice::sim
