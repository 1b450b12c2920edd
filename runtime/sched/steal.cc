// steal.cc - work of other kthreads.
#include <array>

#include "runtime/sched/scheduler_state.h"

namespace sluice::sched {
namespace {

constexpr uint32_t kMostStolen = 64;  // uthreads at a time

}  // namespace

// By an idle kthread; whether the victim runs makes no difference. The hyperthread next door first, for it shares the
// caches; then the others in turn.
bool Kthread::Steal() {
  const auto& all = scheduler_.kthreads;
  const uint32_t neighbour_cpu = scheduler_.topology.SiblingOf(io_.grant.cpu());
  if (neighbour_cpu < Topology::kMaxCpus) {
    Kthread* neighbour = scheduler_.on_cpu[neighbour_cpu].load(std::memory_order_acquire);
    if (neighbour != nullptr && neighbour != this && StealFrom(*neighbour)) return true;
  }
  for (size_t i = 0; i < all.size(); ++i) {
    if (++victim_ >= all.size()) victim_ = 0;
    if (victim_ != index_ && StealFrom(*all[victim_])) return true;
  }
  return false;
}

// By a kthread that may well be busy, one look per poll: what a ceded kthread has left behind, and the timers of a
// parked one, must not wait for a core that this app may never get again.
bool Kthread::StealFromParked() {
  const auto& all = scheduler_.kthreads;
  if (++parked_ >= all.size()) parked_ = 0;
  return parked_ != index_ && all[parked_]->sleeps() && StealFrom(*all[parked_]);
}

// Ready uthreads, or a whole ring's packets, or timers that are due. Never part of a batch of packets.
bool Kthread::StealFrom(Kthread& victim) {
  std::array<Uthread*, kMostStolen> loot;
  const uint32_t count = victim.run_queue_.Steal(loot);
  for (uint32_t i = 0; i < count; ++i) PushReady(loot[i]);
  if (count > 0) {
    std::atomic<uint64_t>& stolen = counters().uthreads_stolen;
    stolen.store(stolen.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
    return true;
  }
  return victim.Softirq(*this) || victim.timers_.RunDue(now_);
}

}  // namespace sluice::sched
