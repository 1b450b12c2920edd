// machine.h - a machine of virtual cores under the real allocator and the real policies.
//
// The allocator, the steering, pick, congestion and placement policies and the grant handshake are those of the
// daemon, unmodified. What is modelled: the IOKernel's loop (io_kernel.cc), and kthreads that follow the runtime's
// rules (kthread.cc): a run queue, the softirq of a whole ring at a time, stealing, a spin before parking, cedes at
// safe points, a signal after the grace period or at the end of a turn. What each step costs comes from costs.h.
//
// One thread. Time goes from event to event; a request costs about two events: its completion, and its share of a
// burst that the IOKernel takes.
#pragma once

#include <memory>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "apps/simulator/engine/event_queue.h"
#include "apps/simulator/engine/fifo.h"
#include "apps/simulator/engine/index_set.h"
#include "apps/simulator/engine/ledger.h"
#include "apps/simulator/engine/plan.h"
#include "apps/simulator/engine/timeline.h"
#include "iokernel/brain/allocator.h"
#include "policies/registry.h"

namespace sluice::sim {

class Machine final : public GrantBackend, public AllocatorHost {
 public:
  // Error: a steering policy that cannot be made; a sentence. `timeline` may be null.
  [[nodiscard]] static tl::expected<std::unique_ptr<Machine>, std::string> Make(const RunPlan& plan,
                                                                                RequestStream& stream, Ledger& ledger,
                                                                                Timeline* timeline);

  // Records the allocator's decisions from the next pass on, as the daemon would.
  void Record(std::vector<std::byte>* log);
  // Until every request is done or dropped.
  void Run();

  [[nodiscard]] MachineFigures Figures() const;

 private:
  static constexpr uint32_t kSignalEvent = 1u << 31;  // in Event::who, beside the kthread

  // A uthread: a request, or a part of an endless batch job.
  struct Job {
    Request request;
    Time left = 0;
    Time ready_since = 0;
    bool endless = false;
    bool begun = false;
  };
  struct Arrival {
    Request request;
    Time visible = 0;  // to other cores
  };
  enum class State : uint8_t { kParked, kWaking, kIdle, kBusy };

  struct App;
  struct Kthread {
    App* app = nullptr;
    KthreadId id = 0;
    State state = State::kParked;
    bool alerted = false;      // idle, and has been told to look again
    bool interrupted = false;  // parked inside `job`
    uint32_t number = 0;       // of the event that it waits for; older ones are void
    uint32_t rx_taken = 0;
    uint32_t rq_head = 0, rq_tail = 0;
    uint32_t kick_seen = 0;
    KthreadId victim = 0, looked_at = 0;  // where stealing went on last
    CoreId last_core = kNoCore;
    Time polled = 0;  // when last
    Time idle_since = 0;
    Time run_until = 0;  // the end of `job`, if nothing interrupts it
    Time busy_since = 0, busy = 0;
    Job job;
    Fifo<Arrival> ring;
    Fifo<Job> ready;      // open to thieves
    Fifo<Job> set_aside;  // interrupted at the end of a slice: stays here
    abi::SignalLine* signal = nullptr;
    abi::GrantHolder holder;
  };
  struct App {
    const AppPlan* plan = nullptr;
    AppId id = 0;
    abi::AppLine line{};
    std::vector<abi::SignalLine> signals;
    std::vector<abi::GrantLine> grants;
    std::vector<Kthread> kthreads;
    IndexSet with_work{1};  // kthreads that have something to steal
    IndexSet idle{1};       // kthreads that spin and were not alerted
    uint16_t next_idle = 0;
    std::vector<Job> inbox;
    Hints hints;
    SteeringVariant steering;
    const AppView* view = nullptr;
    Time lookup = 0, insert = 0;
    std::vector<KthreadId> flow_kthread;  // by flow: where its last packet was steered
    std::vector<bool> seen;               // by flow
    std::vector<CoreId> flow_core;        // by flow: where its last request ran
    std::vector<uint32_t> staged;         // by kthread: messages of this burst
    uint64_t batch_units = 0;
  };

  Machine(const RunPlan& plan, RequestStream& stream, Ledger& ledger, Timeline* timeline);
  tl::expected<void, std::string> AddApp(const AppPlan& plan);

  [[nodiscard]] uint32_t HashOf(const App& app, uint32_t flow) const;

  // io_kernel.cc
  void Iterate(Time now);
  void Receive(Time now);
  void Deliver(App& app, std::span<const Request> lot);
  void Pass(Time now);
  void DrainLog();
  void SendSignal(AppId app, KthreadId kthread);

  // GrantBackend
  [[nodiscard]] std::string_view name() const override { return "simulated"; }
  void Enrol(AppId, pid_t, std::span<const EnrolledThread>, Priority) override {}
  void Release(AppId) override {}
  void Wake(AppId app, KthreadId kthread, CoreId core) override;
  void Interrupt(AppId app, KthreadId kthread) override;
  void EndTurn(AppId app, KthreadId kthread) override;
  void Evict(AppId app, KthreadId kthread) override;
  // AllocatorHost
  void OnParked(AppId, KthreadId) override {}
  void OnActiveChange(AppId app) override;
  void OnUnresponsive(AppId, KthreadId) override {}

  // kthread.cc
  void OnEvent(const Event& event);
  void OnSignal(Kthread& k, uint32_t generation);
  void Begin(Kthread& k);
  void Loop(Kthread& k, Time t);
  void Poll(Kthread& k, Time* t, Time* look_again);
  bool Softirq(Kthread& victim, Kthread& k, Time* t);
  bool TakeInbox(Kthread& k, Time t);
  bool Steal(Kthread& k, Time* t, Time* look_again);
  bool StealFrom(Kthread& victim, Kthread& k, Time* t, Time* look_again);
  void RunOldest(Kthread& k, Time t);
  void RunReady(Kthread& k, Time t);
  void Run(Kthread& k, Time t, Time cost);
  void Finish(Kthread& k);
  void StopRunning(Kthread& k);
  [[nodiscard]] bool TurnEnds(const Kthread& k) const;
  void SetAside(Kthread& k);
  void PublishSetAside(Kthread& k);
  void GoIdle(Kthread& k, Time t, Time look_again);
  void Park(Kthread& k, uint32_t flags);
  void Push(Kthread& k, const Job& job);
  void Publish(Kthread& k, Time t);
  void UpdateWork(Kthread& k) { k.app->with_work.Set(k.id, !k.ready.empty() || !k.ring.empty()); }
  void Alert(Kthread& k, Time when);
  void AlertAnyone(App& app, Time when);
  void Schedule(Kthread& k, Time when);
  [[nodiscard]] uint32_t IndexOf(const Kthread& k) const { return k.app->id * max_kthreads_ + k.id; }

  const RunPlan& plan_;
  const Costs& costs_;
  RequestStream& stream_;
  Ledger& ledger_;
  Timeline* const timeline_;
  std::vector<std::byte>* log_ = nullptr;
  const uint64_t hash_salt_;
  std::unique_ptr<Allocator> allocator_;
  std::vector<std::unique_ptr<App>> apps_;
  uint32_t max_kthreads_ = 0;
  EventQueue events_;
  Time now_ = 0;    // of the event being handled
  Time clock_ = 0;  // the IOKernel's, within an iteration
  Time next_iteration_ = 0;
  Time last_pass_ = 0;
  bool passed_ = false;
  size_t looked_after_ = 0;
  uint64_t cedes_seen_ = 0;
  uint32_t held_ = 0;
  uint64_t replies_ = 0;  // not yet sent by the IOKernel
  std::vector<Request> burst_, lot_;
  std::vector<uint32_t> hashes_;
  std::vector<KthreadId> kthreads_, touched_;
  MachineFigures figures_;
};

}  // namespace sluice::sim
