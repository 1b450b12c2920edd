// fake_daemon.h - an iokerneld without a port: a control socket in front of a fake IOKernel. The wire is the test.
#pragma once

#include <atomic>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "runtime/sched/preempt.h"
#include "sluice/run.h"
#include "tests/lib/fake_iokernel.h"
#include "tests/unit/runtime/net/fake_control.h"
#include "tests/unit/runtime/net/packets.h"

namespace sluice {

class FakeDaemon {
 public:
  explicit FakeDaemon(const test::FakeIoKernelOptions& options = {.kthreads = 2})
      : options_(options), iokernel_(options) {
    iokernel_.OnTx([this](uint32_t, std::span<const std::byte> packet) {
      const std::lock_guard held(hold_);
      const std::lock_guard lock(mutex_);
      sent_.emplace_back(packet.begin(), packet.end());
    });
    control_.emplace([this](int socket) { Serve(socket); });
  }
  ~FakeDaemon() { Die(); }

  // Runs `main` as an app of this daemon, to its end.
  int Run(const std::function<int()>& main) {
    RunConfig config;
    config.name = "test";
    config.run_dir = control_->run_dir();
    return sluice::Run(config, main);
  }

  [[nodiscard]] const test::FakeIoKernelOptions& options() const { return options_; }

  // ---- any thread, while the app runs ----
  // Preemption is off where the fake IOKernel's lock is taken: a kthread that parks with it could not be granted again.
  // Puts a packet into a kthread's ring. False: the ring is full, or no buffer is free.
  bool Inject(const Packet& packet, uint32_t kthread = 0, uint8_t flags = 0, uint32_t hash = 0) {
    const sched::PreemptGuard guard;
    return iokernel_.Inject(kthread, packet, hash, flags);
  }
  bool InjectMessage(const abi::LrpcMessage& message) {
    const sched::PreemptGuard guard;
    return iokernel_.InjectMessage(0, message);
  }

  // The next packet that the app sent.
  std::optional<Packet> Take() {
    const sched::PreemptGuard guard;
    const std::lock_guard lock(mutex_);
    if (sent_.empty()) return std::nullopt;
    Packet packet = std::move(sent_.front());
    sent_.pop_front();
    return packet;
  }

  [[nodiscard]] bool AllBuffersBack() { return buffers_held() == 0; }
  [[nodiscard]] size_t buffers_held() {
    const sched::PreemptGuard guard;
    return options_.rx_buffers - iokernel_.buffers_free();
  }
  [[nodiscard]] uint64_t Count(std::atomic<uint64_t> abi::RuntimeCounters::*counter) { return iokernel_.Sum(counter); }

  // True once everything that the app had sent before the first call has been taken; `since` is the caller's memory.
  [[nodiscard]] bool AllTaken(uint64_t* since) {
    if (*since == 0) *since = iokernel_.passes();
    return iokernel_.passes() >= *since + 2;  // a pass has begun and ended since
  }

  // While the lock is held the IOKernel stands still at the next packet that the app sends.
  [[nodiscard]] std::unique_lock<std::mutex> HoldTransmit() { return std::unique_lock(hold_); }

  // Closes the control socket and grants nothing any more: as by kill -9.
  void Die() {
    iokernel_.Stop();
    dead_ = true;
    control_->Close();
  }

 private:
  // The control thread: one app, until it leaves or this daemon dies.
  void Serve(int socket) {
    FakeControl::Receive<abi::AttachRequest>(socket);
    const auto answer = GoodAnswer(iokernel_.bytes(), options_.epoch);
    FakeControl::Send(socket, &answer, sizeof(answer), iokernel_.region_fd());
    struct {
      abi::ThreadsReady head;
      uint32_t ids[64];
    } ready;
    if (recv(socket, &ready, sizeof(ready), 0) <= 0) return;
    EXPECT_EQ(ready.head.count, options_.kthreads);
    iokernel_.Run({ready.ids, ready.ids + options_.kthreads});
    const auto ok = OkAnswer();
    FakeControl::Send(socket, &ok, sizeof(ok));
    const timeval patience{0, 1000};
    setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    char byte;
    while (!dead_ && recv(socket, &byte, 1, 0) < 0 && errno == EAGAIN) {
    }
  }

  const test::FakeIoKernelOptions options_;
  std::mutex hold_;
  std::mutex mutex_;  // guards sent_
  std::deque<Packet> sent_;
  test::FakeIoKernel iokernel_;
  std::atomic<bool> dead_{false};
  std::optional<FakeControl> control_;
};

}  // namespace sluice
