// io_kernel.cc - the model of the IOKernel's loop, and the machine's making.
#include <algorithm>
#include <array>
#include <atomic>
#include <utility>
#include <variant>

#include "apps/simulator/engine/machine.h"
#include "iokernel/abi/check.h"
#include "iokernel/brain/recorder.h"

namespace sluice::sim {
namespace {

// As iokernel/dataplane has them.
constexpr size_t kBurst = 32;
constexpr uint32_t kSteeringBudget = 64;
// As iokernel/control/allocator_setup.cc has them.
constexpr abi::Ticks kGrace = 20'000;
constexpr abi::Ticks kResend = 200'000;
constexpr abi::Ticks kGiveUp = 20'000'000;

AllocatorOptions OptionsOf(const RunPlan& plan) {
  AllocatorOptions options;
  for (uint16_t core = 0; core < plan.cores; ++core) {
    const auto sibling = static_cast<CoreId>(core ^ 1);
    options.cores.push_back({.cpu = core,
                             .node = static_cast<uint16_t>(uint32_t{core} * plan.nodes / plan.cores),
                             .sibling = plan.hyperthreads && sibling < plan.cores ? sibling : kNoCore});
  }
  options.interval = ToTicks(plan.interval);
  options.cede_grace = kGrace;
  options.slice_spacing = ToTicks(kSliceSpacingUs * kUs);
  options.cede_resend = kResend;
  options.cede_give_up = kGiveUp;
  options.pick = plan.pick;
  options.congestion = plan.congestion;
  options.placement = plan.placement;
  return options;
}

}  // namespace

Machine::Machine(const RunPlan& plan, RequestStream& stream, Ledger& ledger, Timeline* timeline)
    : plan_(plan),
      costs_(plan.costs),
      stream_(stream),
      ledger_(ledger),
      timeline_(timeline),
      hash_salt_(Mix(plan.seed + 1)),
      allocator_(std::make_unique<Allocator>(OptionsOf(plan), *this, *this)) {
  hashes_.resize(kBurst);
  kthreads_.resize(kBurst);
  burst_.reserve(kBurst);
  lot_.reserve(kBurst);
  touched_.reserve(kBurst);
}

tl::expected<std::unique_ptr<Machine>, std::string> Machine::Make(const RunPlan& plan, RequestStream& stream,
                                                                  Ledger& ledger, Timeline* timeline) {
  std::unique_ptr<Machine> machine(new Machine(plan, stream, ledger, timeline));
  machine->max_kthreads_ = plan.cores;
  for (const AppPlan& app : plan.apps) {
    if (auto added = machine->AddApp(app); !added) return tl::unexpected(added.error());
  }
  return machine;
}

tl::expected<void, std::string> Machine::AddApp(const AppPlan& plan) {
  const auto id = static_cast<AppId>(apps_.size());
  const uint16_t kthreads = plan.max_cores == 0 ? plan_.cores : plan.max_cores;
  if (std::string refusal = allocator_->CheckAdmission(plan.guaranteed, kthreads); !refusal.empty()) {
    return tl::unexpected("app \"" + plan.name + "\": " + refusal);
  }
  auto made = std::make_unique<App>();
  App& app = *made;
  app.plan = &plan;
  app.id = id;
  // Tables of runs side by side in one process need names of their own.
  static std::atomic<uint32_t> tables{0};
  const std::string unique = "sim" + std::to_string(tables++);
  auto steering = MakeSteering(plan_.steering, {.max_kthreads = kthreads,
                                                .cores = plan_.cores,
                                                .flows = std::max(1u, plan.flows),
                                                .app = id,
                                                .unique = unique.c_str()});
  if (!steering) return tl::unexpected("app \"" + plan.name + "\": " + steering.error());
  app.steering = std::move(*steering);
  if (SteeringMemoryBytes(plan_.steering, 1) > 0) {
    app.lookup = costs_.flow_lookup;
    // A hybrid inserts off the critical path.
    if (!plan_.steering.ends_with("-hybrid")) app.insert = costs_.flow_insert;
  }
  app.seen.resize(plan.flows);
  app.flow_core.resize(plan.flows, kNoCore);
  app.flow_kthread.resize(plan.flows, kNoKthread);
  if (plan.install_flows) {
    std::visit(
        [&]<class Policy>(Policy& policy) {
          for (uint32_t flow = 0; flow < plan.flows; ++flow) {
            const FiveTuple tuple{.source = flow, .destination = id, .protocol = 17};
            if constexpr (requires { policy.Install(0, tuple); }) {
              app.seen[flow] = policy.Install(HashOf(app, flow), tuple).has_value();
            }
          }
        },
        app.steering);
  }

  app.signals = std::vector<abi::SignalLine>(kthreads);
  app.grants = std::vector<abi::GrantLine>(kthreads);
  app.kthreads.resize(kthreads);
  app.with_work = IndexSet(kthreads);
  app.idle = IndexSet(kthreads);
  app.staged.resize(kthreads);
  AppMemory memory{.line = &app.line, .kthreads = {}, .rx_slots = plan_.rx_slots};
  for (KthreadId k = 0; k < kthreads; ++k) {
    Kthread& kthread = app.kthreads[k];
    kthread.app = &app;
    kthread.id = k;
    kthread.signal = &app.signals[k];
    kthread.signal->next_timer.store(abi::kNoTimer);
    kthread.holder = abi::GrantHolder(&app.signals[k], &app.grants[k]);
    memory.kthreads.push_back({&app.signals[k], &app.grants[k]});
  }
  for (uint16_t i = 0; i < plan.batch_threads; ++i) {
    app.inbox.push_back({.request = {.service = plan.batch_unit, .app = id}, .left = plan.batch_unit, .endless = true});
  }
  if (plan.batch_threads > 0) app.line.kick.store(1);
  allocator_->Attach({.id = id,
                      .kthreads = kthreads,
                      .guaranteed = plan.guaranteed,
                      .priority = plan.priority,
                      .hints = &app.hints,
                      .slice = ToTicks(plan.slice)},
                     memory);
  app.view = &allocator_->View(id);
  apps_.push_back(std::move(made));
  OnActiveChange(id);
  return {};
}

void Machine::Run() {
  while (stream_.NextArrival() != kNever || ledger_.in_system() > 0) {
    figures_.events++;
    if (next_iteration_ <= events_.NextTime()) {
      Iterate(next_iteration_);
      continue;
    }
    const Event event = events_.Top();
    events_.Pop();
    now_ = event.time;
    OnEvent(event);
  }
  if (log_ == nullptr) return;
  allocator_->recorder().Stop();
  allocator_->Pass(ToTicks(now_));
  DrainLog();
}

void Machine::Iterate(Time now) {
  now_ = clock_ = now;
  if (stream_.NextArrival() <= now) Receive(now);
  const Time replies = std::exchange(replies_, 0) * costs_.reply;
  figures_.io_reply += replies;
  clock_ += replies;
  allocator_->Urgent(ToTicks(now));
  if (!passed_ || now - last_pass_ >= plan_.interval) Pass(now);
  next_iteration_ = std::max(clock_, std::min(stream_.NextArrival(), last_pass_ + plan_.interval));
}

void Machine::Receive(Time now) {
  burst_.clear();
  while (burst_.size() < kBurst && stream_.NextArrival() <= now) {
    burst_.push_back(stream_.Take());
    ledger_.Arrived(burst_.back(), now);
  }
  if (apps_.size() == 1) return Deliver(*apps_[0], burst_);
  // App by app, in the order of their first packets.
  for (size_t i = 0; i < burst_.size(); ++i) {
    const AppId id = burst_[i].app;
    if (id == kNoApp) continue;
    lot_.clear();
    for (size_t j = i; j < burst_.size(); ++j) {
      if (burst_[j].app != id) continue;
      lot_.push_back(burst_[j]);
      if (j > i) burst_[j].app = kNoApp;
    }
    Deliver(*apps_[id], lot_);
  }
}

uint32_t Machine::HashOf(const App& app, uint32_t flow) const {
  return static_cast<uint32_t>(Mix(hash_salt_ + (uint64_t{app.id} << 32) + flow));
}

void Machine::Deliver(App& app, std::span<const Request> lot) {
  const size_t count = lot.size();
  Time cost = (costs_.steer + app.lookup) * count;
  for (size_t i = 0; i < count; ++i) {
    const uint32_t flow = lot[i].flow;
    hashes_[i] = HashOf(app, flow);
    if (app.insert == 0) continue;
    const bool known = flow < app.seen.size() && app.seen[flow];
    if (!known) cost += app.insert;
    if (flow < app.seen.size()) app.seen[flow] = true;
  }
  if (app.view->active.empty()) {
    Wish(app.steering, hashes_[0], app.hints);
    allocator_->OnArrival(app.id, ToTicks(now_));
  }
  std::visit(
      [&](auto& policy) {
        policy.SteerBurst(*app.view, {hashes_.data(), count}, {kthreads_.data(), count}, ToTicks(now_), app.hints);
      },
      app.steering);
  figures_.io_receive += cost;
  clock_ += cost;
  const Time visible = clock_ + costs_.ring_hop;
  touched_.clear();
  for (size_t i = 0; i < count; ++i) {
    const KthreadId k = kthreads_[i];
    SLUICE_CHECK(k < app.kthreads.size(), "a steering policy names a kthread of the app");
    Kthread& kthread = app.kthreads[k];
    if (kthread.ring.size() >= plan_.rx_slots) {
      ledger_.Dropped(now_);
      continue;
    }
    ledger_.Steered(lot[i], app.view->kthreads[k].core);
    if (lot[i].flow < app.flow_kthread.size()) {
      const KthreadId before = std::exchange(app.flow_kthread[lot[i].flow], k);
      figures_.kthread_changed += before != k && before != kNoKthread;
    }
    kthread.ring.Push({lot[i], visible});
    if (app.staged[k]++ == 0) touched_.push_back(k);
  }
  for (const KthreadId k : touched_) {
    Kthread& kthread = app.kthreads[k];
    UpdateWork(kthread);
    if (kthread.state == State::kIdle) {
      Alert(kthread, visible);
    } else {
      AlertAnyone(app, visible);
    }
    allocator_->OnSent(app.id, k, std::exchange(app.staged[k], 0), ToTicks(now_));
  }
}

void Machine::Pass(Time now) {
  last_pass_ = now;
  passed_ = true;
  const Time cost = costs_.pass + costs_.poll * held_;
  figures_.io_poll += cost;
  clock_ += cost;
  allocator_->Pass(ToTicks(now));
  if (log_ != nullptr) DrainLog();
  App& app = *apps_[looked_after_++ % apps_.size()];
  std::visit([&](auto& policy) { policy.Idle(kSteeringBudget, ToTicks(now)); }, app.steering);
}

void Machine::Record(std::vector<std::byte>* log) {
  log_ = log;
  *log = MakeFileHeader(allocator_->options(), kSecond / kNs, ToTicks(now_), 0);
  SLUICE_CHECK(allocator_->recorder().Start(), "a recording that begins while another is on");
}

void Machine::DrainLog() {
  std::array<std::byte, 4096> piece;
  while (const size_t got = allocator_->recorder().Read(piece))
    log_->insert(log_->end(), piece.begin(), piece.begin() + got);
}

void Machine::Wake(AppId app, KthreadId kthread, CoreId core) {
  Kthread& k = apps_[app]->kthreads[kthread];
  figures_.grants++;
  figures_.io_grant += costs_.grant;
  clock_ += costs_.grant;
  const bool moved = k.last_core != core && k.last_core != kNoCore;
  k.last_core = core;
  k.state = State::kWaking;
  ledger_.SetHeld(++held_, now_);
  if (timeline_ != nullptr) timeline_->Granted(app, kthread, core, now_);
  Schedule(k, clock_ + costs_.wake + (moved ? costs_.cold_core : 0));
}

void Machine::Interrupt(AppId app, KthreadId kthread) {
  figures_.signals++;
  figures_.io_grant += costs_.signal;
  SendSignal(app, kthread);
}

void Machine::EndTurn(AppId app, KthreadId kthread) {
  figures_.turns++;
  figures_.io_turn += costs_.signal;
  SendSignal(app, kthread);
}

void Machine::SendSignal(AppId app, KthreadId kthread) {
  const Kthread& k = apps_[app]->kthreads[kthread];
  clock_ += costs_.signal;
  events_.Push({clock_ + costs_.preempt, IndexOf(k) | kSignalEvent, k.holder.generation()});
}

void Machine::Evict(AppId, KthreadId) { SLUICE_CHECK(false, "a simulated kthread that did not answer a signal"); }

void Machine::OnActiveChange(AppId id) {
  App& app = *apps_[id];
  if (app.view == nullptr) return;
  std::visit([&](auto& policy) { policy.OnActiveChange(*app.view); }, app.steering);
  // One that spins looks at its cede word all the time.
  const uint64_t cedes = allocator_->counters().cedes;
  if (std::exchange(cedes_seen_, cedes) == cedes) return;
  uint16_t at = 0;
  for (uint32_t left = app.idle.size(); left > 0 && !app.idle.empty(); --left) {
    const uint16_t k = app.idle.From(at);
    at = static_cast<uint16_t>((k + 1u) % app.kthreads.size());
    if (app.kthreads[k].holder.CedeRequested()) Alert(app.kthreads[k], clock_ + costs_.ring_hop);
  }
}

void Machine::OnEvent(const Event& event) {
  const uint32_t index = event.who & ~kSignalEvent;
  Kthread& k = apps_[index / max_kthreads_]->kthreads[index % max_kthreads_];
  if ((event.who & kSignalEvent) != 0) return OnSignal(k, event.number);
  if (event.number != k.number) return;
  switch (k.state) {
    case State::kWaking:
      return Begin(k);
    case State::kIdle:
      return Loop(k, now_);
    case State::kBusy:
      return Finish(k);
    case State::kParked:
      SLUICE_CHECK(false, "an event for a kthread that is parked");
  }
}

MachineFigures Machine::Figures() const {
  MachineFigures figures = figures_;
  figures.cedes = allocator_->counters().cedes;
  figures.turns_deferred = allocator_->counters().slices_deferred;
  for (const auto& app : apps_) figures.batch_units += app->batch_units;
  figures.end = now_;
  return figures;
}

}  // namespace sluice::sim
