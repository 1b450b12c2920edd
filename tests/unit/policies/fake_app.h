// fake_app.h - an app as policies see it, with the storage behind its AppView and the moves of an allocator.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "policies/views.h"

namespace sluice::testing {

// A flow hash as a port would give it: random-looking, and different for different i (the steps are bijective).
inline uint32_t FlowHash(uint32_t i) {
  i = (i ^ (i >> 16)) * 0x85ebca6b;
  i = (i ^ (i >> 13)) * 0xc2b2ae35;
  return i ^ (i >> 16);
}

class FakeApp {
 public:
  FakeApp(uint16_t kthreads, uint16_t cores) : kthreads_(kthreads), on_core_(cores, kNoKthread) { Publish(); }

  // k gets `core`, which is free, and becomes steerable.
  void Run(KthreadId k, CoreId core) {
    KthreadView& kthread = kthreads_[k];
    kthread.steerable = true;
    kthread.parked = false;
    kthread.core = core;
    on_core_[core] = k;
    active_.push_back(k);
    Publish();
  }

  void Park(KthreadId k) {
    KthreadView& kthread = kthreads_[k];
    kthread.steerable = false;
    kthread.parked = true;
    on_core_[kthread.core] = kNoKthread;
    active_.erase(std::find(active_.begin(), active_.end(), k));
    Publish();
  }

  // What the loop does after a burst: the packets are in the rings now.
  void Send(std::span<const KthreadId> to) {
    for (const KthreadId k : to) kthreads_[k].rx_sent++;
  }
  void ConsumeAll() {
    for (KthreadView& kthread : kthreads_) kthread.rx_consumed = kthread.rx_sent;
  }

  [[nodiscard]] bool IsActive(KthreadId k) const { return kthreads_[k].steerable; }
  [[nodiscard]] const AppView& view() const { return view_; }
  KthreadView& kthread(KthreadId k) { return kthreads_[k]; }
  [[nodiscard]] const std::vector<KthreadId>& active() const { return active_; }
  void set_landing(KthreadId k) { view_.landing = k; }

 private:
  void Publish() {
    view_.id = 0;
    view_.max_kthreads = static_cast<uint16_t>(kthreads_.size());
    view_.active = active_;
    view_.kthreads = kthreads_;
    view_.on_core = on_core_;
    if (view_.landing == kNoKthread) view_.landing = 0;
  }

  std::vector<KthreadView> kthreads_;
  std::vector<KthreadId> active_;
  std::vector<KthreadId> on_core_;
  AppView view_;
};

// Steers a burst and sends it.
template <class Steering>
std::vector<KthreadId> Steer(Steering& steering, FakeApp& app, std::span<const uint32_t> hash, Hints& hints) {
  std::vector<KthreadId> to(hash.size(), kNoKthread);
  steering.SteerBurst(app.view(), hash, to, 0, hints);
  app.Send(to);
  return to;
}

template <class Steering>
std::vector<KthreadId> Steer(Steering& steering, FakeApp& app, std::span<const uint32_t> hash) {
  Hints hints;
  return Steer(steering, app, hash, hints);
}

}  // namespace sluice::testing
