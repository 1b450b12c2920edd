// puppet.h - apps for tests of the allocator: kthreads over plain memory that do one thing when told to.
//
// They speak the real handshake (abi/grant.h), so a test drives both of its ends step by step in one thread.
// RecordingBackend and RecordingHost write down what the allocator says; nothing here decides anything.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "iokernel/abi/check.h"
#include "iokernel/abi/region.h"
#include "iokernel/brain/allocator.h"

namespace sluice::test {

// One kthread's shared lines, and what its thread would know.
class PuppetKthread {
 public:
  abi::SignalLine signal{};
  abi::GrantLine grant{};

  PuppetKthread() : holder_(&signal, &grant) {
    next_timer = abi::kNoTimer;
    signal.next_timer.store(abi::kNoTimer);
  }

  // Looks for a grant and acknowledges it. False: there is none.
  bool Start() {
    if (running_) return false;
    running_ = holder_.AwaitGrant([](const auto&, uint32_t) { return false; });
    return running_;
  }
  [[nodiscard]] bool Granted() const { return grant.generation.load() != holder_.generation(); }
  [[nodiscard]] bool running() const { return running_; }
  [[nodiscard]] bool CedeRequested() const { return running_ && holder_.CedeRequested(); }
  [[nodiscard]] bool TurnOver() const { return holder_.TurnOver(); }
  [[nodiscard]] CoreId core() const { return static_cast<CoreId>(holder_.core()); }
  [[nodiscard]] uint32_t cpu() const { return holder_.cpu(); }

  // Takes packets from its own ring; a thief calls it on its victim. Publishes the count.
  void Take(uint32_t packets) {
    rx_consumed += packets;
    signal.rx_consumed.store(rx_consumed);
  }
  void Spawn(uint32_t uthreads, Ticks now) {
    if (signal.rq_head.load() == signal.rq_tail.load()) signal.oldest_ready.store(now);
    signal.rq_tail.store(signal.rq_tail.load() + uthreads);
  }
  void RunUthreads(uint32_t uthreads) {
    signal.rq_head.store(signal.rq_head.load() + uthreads);
    if (signal.rq_head.load() == signal.rq_tail.load()) signal.oldest_ready.store(0);
  }
  [[nodiscard]] uint32_t uthreads() const { return signal.rq_tail.load() - signal.rq_head.load(); }

  void Park(uint32_t flags = 0) {
    SLUICE_CHECK(running_, "a puppet that parks without running");
    running_ = false;
    holder_.Park({.rx_consumed = rx_consumed, .kick_seen = kick_seen, .next_timer = next_timer, .flags = flags});
  }

  uint32_t rx_consumed = 0;
  uint32_t kick_seen = 0;
  Ticks next_timer;

 private:
  abi::GrantHolder holder_;
  bool running_ = false;
};

class PuppetApp {
 public:
  PuppetApp(AppId id, uint16_t kthreads, uint16_t guaranteed = 0, Priority priority = Priority::kLatencyCritical)
      : spec{.id = id, .kthreads = kthreads, .guaranteed = guaranteed, .priority = priority, .hints = &hints} {
    for (uint16_t k = 0; k < kthreads; k++) kthreads_.push_back(std::make_unique<PuppetKthread>());
  }

  [[nodiscard]] AppMemory Memory() const {
    AppMemory memory{.line = &line, .kthreads = {}, .rx_slots = rx_slots};
    for (const auto& k : kthreads_) memory.kthreads.push_back({&k->signal, &k->grant});
    return memory;
  }
  PuppetKthread& operator[](KthreadId k) { return *kthreads_[k]; }
  const PuppetKthread& operator[](KthreadId k) const { return *kthreads_[k]; }
  [[nodiscard]] uint16_t size() const { return static_cast<uint16_t>(kthreads_.size()); }

  // A push into the inbox by a thread that is no kthread.
  void Kick() { line.kick.store(line.kick.load() + 1); }
  // k empties the inbox.
  void EmptyInbox(KthreadId k) { (*this)[k].kick_seen = line.kick.load(); }
  // Every kthread that has a grant acknowledges it.
  void StartAll() {
    for (const auto& k : kthreads_) k->Start();
  }

  Hints hints;
  AppSpec spec;
  abi::AppLine line{};
  uint32_t rx_slots = 1024;

 private:
  std::vector<std::unique_ptr<PuppetKthread>> kthreads_;
};

struct RecordingBackend final : GrantBackend {
  using Thread = std::pair<AppId, KthreadId>;
  [[nodiscard]] std::string_view name() const override { return "recording"; }
  void Enrol(AppId, pid_t, std::span<const EnrolledThread>, Priority) override {}
  void Release(AppId) override {}
  void Wake(AppId app, KthreadId k, CoreId core) override {
    wakes.push_back({app, k});
    wake_cores.push_back(core);
  }
  void Interrupt(AppId app, KthreadId k) override { interrupts.push_back({app, k}); }
  void EndTurn(AppId app, KthreadId k) override { turns.push_back({app, k}); }
  void Evict(AppId app, KthreadId k) override { evicts.push_back({app, k}); }

  std::vector<Thread> wakes, interrupts, turns, evicts;
  std::vector<CoreId> wake_cores;
};

struct RecordingHost final : AllocatorHost {
  void OnParked(AppId app, KthreadId k) override {
    parked.push_back({app, k});
    if (on_parked) on_parked(app, k);
  }
  void OnActiveChange(AppId app) override {
    changed.push_back(app);
    if (on_change) on_change(app);
  }
  void OnUnresponsive(AppId app, KthreadId k) override { unresponsive.push_back({app, k}); }

  std::vector<std::pair<AppId, KthreadId>> parked, unresponsive;
  std::vector<AppId> changed;
  std::function<void(AppId, KthreadId)> on_parked;
  std::function<void(AppId)> on_change;
};

// `count` core slots on CPUs 0, 1, ...
inline AllocatorOptions MachineOptions(uint16_t count) {
  AllocatorOptions options;
  for (uint16_t i = 0; i < count; i++) options.cores.push_back({.cpu = i, .node = 0, .sibling = kNoCore});
  options.interval = 5000;
  options.cede_grace = 20'000;
  options.cede_resend = 50'000;
  options.cede_give_up = 1'000'000;
  return options;
}

}  // namespace sluice::test
