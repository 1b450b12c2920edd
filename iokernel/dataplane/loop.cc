#include "iokernel/dataplane/loop.h"

#include <immintrin.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>

#include <bitset>
#include <utility>

#include "iokernel/abi/check.h"
#include "iokernel/dataplane/app_state.h"
#include "iokernel/dataplane/app_table.h"
#include "iokernel/dataplane/guard.h"
#include "iokernel/dataplane/link_level.h"
#include "iokernel/dataplane/port_out.h"
#include "iokernel/dataplane/rx.h"
#include "iokernel/dataplane/spsc_queue.h"
#include "iokernel/dataplane/tx.h"

namespace sluice {
namespace {

constexpr uint32_t kQueueSlots = 1024;  // commands, replies, notices
constexpr uint32_t kCommandsPerPass = 4;
constexpr uint32_t kNeighboursPerPass = 2;
// Units of work off the critical path that one app's steering gets in a pass.
constexpr uint32_t kSteeringBudgetBusy = 4;
constexpr uint32_t kSteeringBudgetIdle = 32;
// Counters kept elsewhere are copied for the control thread once in so many passes, one app at a time.
constexpr uint32_t kPassesPerMirror = 16;

}  // namespace

struct Loop::Impl final : AllocatorHost {
  Impl(const LoopOptions& loop_options, Port& loop_port, GrantBackend& backend)
      : options(loop_options),
        port(loop_port),
        allocator(options.allocator, backend, *this),
        apps(options.link.address ? std::optional(options.link.address->address) : std::nullopt),
        out(port, counters),
        link(options.link, options.rate, port, out, apps, counters),
        rx(port, apps, link, allocator, counters),
        tx(port, out, apps, link, rx, counters) {
    SLUICE_CHECK(port.pool() != nullptr && rte_pktmbuf_data_room_size(port.pool()) >=
                                               RTE_PKTMBUF_HEADROOM + abi::kEthernetHeaderBytes + port.info().mtu,
                 "the port's buffers hold a packet of its MTU");
  }

  // ---- one iteration ------------------------------------------------------------------------------

  bool Iterate(Ticks now) {
    uint32_t work = rx.Poll(now);
    work += tx.DrainAll(now);
    tx.DeliverLocal(now);
    out.Flush();
    if (now - last_pass >= options.allocator.interval) {
      Pass(now, work > 0);
      tx.DeliverLocal(now);
    } else {
      allocator.Urgent(now);
    }
    Account(now, work > 0);
    return work > 0;
  }

  // What is due every few microseconds, whatever the load.
  void Pass(Ticks now, bool busy) {
    last_pass = now;
    TakeCommands(now);
    if (MemoryGuard::failures() != failures_seen) BuryFailed();
    allocator.Pass(now);
    link.Sweep(kNeighboursPerPass, now);
    LookAfterOne(now, busy);
    SendNotices();
  }

  void Account(Ticks now, bool busy) {
    counters.iterations.Add();
    if (was_busy && now > last_iteration) counters.busy_ticks.Add(now - last_iteration);
    was_busy = busy;
    last_iteration = now;
  }

  // ---- commands -----------------------------------------------------------------------------------

  void TakeCommands(Ticks now) {
    Command command;
    // A command is taken only when its reply has room.
    for (uint32_t i = 0; i < kCommandsPerPass && !replies.Full() && commands.Pop(&command); ++i) {
      counters.commands.Add();
      Reply reply{command.kind, command.id, command.app, command.question};
      switch (command.kind) {
        case CommandKind::kAttach:
          Attach(*command.app);
          reply.id = command.app->params().id;
          break;
        case CommandKind::kDetach:
          reply.app = Detach(command.id, now);
          break;
        case CommandKind::kAsk:
          AnswerQuestion(command.id, *command.question);
          break;
      }
      SLUICE_CHECK(replies.Push(reply), "a queue that was not full has room");
    }
  }

  void Attach(DataplaneApp& app) {
    AppState& state = app.state();
    const AppId id = state.params.id;
    state.dead = false;
    apps.Add(&app);
    allocator.Attach(std::move(state.prepared));
    state.view = &allocator.View(id);
    OnActiveChange(id);
    link.Announce(state.params.address);
  }

  DataplaneApp* Detach(AppId id, Ticks) {
    AppState* state = apps.Get(id);
    if (state == nullptr) return nullptr;
    link.ForgetApp(id);
    if (!state->dead) state->prepared = allocator.Detach(id);
    state->view = nullptr;
    state->polled.clear();
    unresponsive.reset(id);
    faulted.reset(id);
    return apps.Remove(id);
  }

  void AnswerQuestion(AppId id, FlowQuestion& question) {
    AppState* state = apps.Get(id);
    if (state == nullptr || state->dead) return;
    Answer(question.flow, state->steering, *state->view);
    question.answered = true;
    const KthreadId k = question.flow.answer.kthread;
    if (k >= state->view->kthreads.size()) return;
    const KthreadView& kthread = state->view->kthreads[k];
    question.core = kthread.parked ? kNoCore : kthread.core;
    question.waiting = kthread.rx_sent - kthread.rx_consumed;
  }

  // Apps whose memory has failed: gone for everybody but the control thread, which is told.
  void BuryFailed() {
    failures_seen = MemoryGuard::failures();
    for (uint32_t i = 0; i < apps.count(); ++i) {
      AppState& state = *apps.Get(apps.At(i));
      if (state.dead || !state.region.failed()) continue;
      counters.faults.Add();
      link.ForgetApp(state.params.id);
      state.prepared = allocator.Detach(state.params.id);
      state.polled.clear();
      state.dead = true;
      faulted.set(state.params.id);
    }
    apps.Rebuild();
  }

  void SendNotices() {
    SendNotices(faulted, Notice::Kind::kFaulted);
    SendNotices(unresponsive, Notice::Kind::kUnresponsive);
  }

  // What finds no room is said in a later pass.
  void SendNotices(std::bitset<kMaxApps>& about, Notice::Kind kind) {
    if (about.none()) return;
    for (AppId id = 0; id < kMaxApps; ++id) {
      if (about.test(id) && notices.Push({id, kind})) about.reset(id);
    }
  }

  // ---- looking after the apps, one at a time --------------------------------------------------------

  void LookAfterOne(Ticks now, bool busy) {
    if (apps.count() == 0) return;
    AppState& app = *apps.Get(apps.At(looked_after % apps.count()));
    if (!app.dead) {
      const uint32_t budget = busy ? kSteeringBudgetBusy : kSteeringBudgetIdle;
      std::visit([&](auto& policy) { policy.Idle(budget, now); }, app.steering);
      if (passes % kPassesPerMirror == 0) Mirror(app);
    }
    ++passes;
    ++looked_after;
  }

  void Mirror(AppState& app) {
    const AppId id = app.params.id;
    const AppGrantCounters& known = allocator.app_counters(id);
    app.counters.cores.Set(known.held);
    app.counters.grants.Set(known.grants);
    app.counters.buffers_free.Set(app.pool.free());
    for (KthreadId k = 0; k < app.kthread_counters.size(); ++k) {
      app.kthread_counters[k].grants.Set(allocator.grants(id, k));
    }
  }

  // ---- what the allocator says --------------------------------------------------------------------

  void OnParked(AppId id, KthreadId k) override {
    AppState& app = *apps.Get(id);
    tx.DrainParked(app, k, last_pass);
    DrainFill(app, k, app.pool.buffers());
  }

  void OnActiveChange(AppId id) override {
    AppState& app = *apps.Get(id);
    app.polled.clear();
    for (KthreadId k = 0; k < app.view->kthreads.size(); ++k) {
      if (!app.view->kthreads[k].parked) app.polled.push_back(k);
    }
    std::visit([&](auto& policy) { policy.OnActiveChange(*app.view); }, app.steering);
  }

  void OnUnresponsive(AppId id, KthreadId) override { unresponsive.set(id); }

  // -------------------------------------------------------------------------------------------------

  const LoopOptions options;
  Port& port;
  LoopCounters counters;
  Allocator allocator;
  AppTable apps;
  PortOut out;
  LinkLevel link;
  RxPath rx;
  TxPath tx;

  Ticks last_pass = 0;
  Ticks last_iteration = 0;
  bool was_busy = false;
  uint32_t passes = 0;
  uint32_t looked_after = 0;
  uint32_t failures_seen = MemoryGuard::failures();
  std::bitset<kMaxApps> faulted;
  std::bitset<kMaxApps> unresponsive;

  SpscQueue<Command, kQueueSlots> commands;
  SpscQueue<Reply, kQueueSlots> replies;
  SpscQueue<Notice, kQueueSlots> notices;
  std::atomic<bool> stop{false};
};

Loop::Loop(const LoopOptions& options, Port& port, GrantBackend& backend)
    : impl_(std::make_unique<Impl>(options, port, backend)) {}
Loop::~Loop() = default;

void Loop::Run() {
  // A DPDK thread has its own cache of packet buffers; others take a lock for each.
  const bool registered = rte_lcore_id() == LCORE_ID_ANY && rte_thread_register() == 0;
  while (!impl_->stop.load(std::memory_order_relaxed)) {
    // A pause leaves the core to its other hyperthread for a moment.
    if (!impl_->Iterate(abi::ReadTsc())) _mm_pause();
  }
  if (registered) rte_thread_unregister();
}

bool Loop::Once(Ticks now) { return impl_->Iterate(now); }

bool Loop::Post(const Command& command) {
  if (command.kind == CommandKind::kAttach) {
    // What the allocator needs is allocated here, on the control thread.
    AppState& app = command.app->state();
    const AppSpec spec{app.params.id,
                       static_cast<uint16_t>(app.params.geometry.kthreads),
                       app.params.guaranteed,
                       app.params.priority,
                       &app.hints,
                       impl_->allocator.options().rate.FromUs(app.params.slice_us)};
    if (app.prepared == nullptr) app.prepared = impl_->allocator.Prepare(spec, app.memory);
  }
  return impl_->commands.Push(command);
}

bool Loop::NextReply(Reply* reply) { return impl_->replies.Pop(reply); }
bool Loop::NextNotice(Notice* notice) { return impl_->notices.Pop(notice); }
void Loop::Stop() { impl_->stop.store(true, std::memory_order_relaxed); }
Recorder& Loop::recorder() { return impl_->allocator.recorder(); }
const LoopCounters& Loop::counters() const { return impl_->counters; }
const Allocator& Loop::allocator() const { return impl_->allocator; }

}  // namespace sluice
