// fake_daemon.h - an iokerneld without a port: control socket, region, grants and rings are there, the wire is a test.
//
// A thread plays the IOKernel: it grants a core to every kthread that has something to do, takes what the app sends,
// gathers its buffers. Packets are injected and taken by the test, from any thread; nothing here blocks for long.
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>

#include <atomic>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "iokernel/abi/message.h"
#include "runtime/io/mapped_region.h"
#include "sluice/run.h"
#include "tests/unit/runtime/net/fake_control.h"
#include "tests/unit/runtime/net/packets.h"

namespace sluice {

class FakeDaemon {
 public:
  static constexpr abi::Geometry kGeometry{
      .kthreads = 2, .rx_slots = 256, .tx_slots = 64, .fill_slots = 512, .rx_buffers = 512, .buffer_size = 2048};

  FakeDaemon() : region_(kGeometry), mapped_(Map(&region_)) {
    for (uint32_t b = 0; b < kGeometry.rx_buffers; ++b) free_.push_back(b);
    for (uint32_t k = 0; k < kGeometry.kthreads; ++k) kthreads_.emplace_back(mapped_.view(), k);
    control_.emplace([this](int socket) { Serve(socket); });
  }
  ~FakeDaemon() {
    Die();
    control_.reset();
    if (thread_.joinable()) thread_.join();
  }

  // Runs `main` as an app of this daemon, to its end.
  int Run(std::function<int()> main) {
    RunConfig config;
    config.name = "test";
    config.run_dir = control_->run_dir();
    return sluice::Run(config, std::move(main));
  }

  // ---- any thread, while the app runs ----
  // Sends a packet to a kthread's ring, at the next pass and in order. False: no buffer is free.
  bool Inject(const Packet& packet, uint32_t kthread = 0, uint8_t flags = 0, uint32_t hash = 0) {
    const std::lock_guard lock(mutex_);
    if (free_.empty()) return false;
    const uint32_t buffer = free_.front();
    free_.pop_front();
    std::memcpy(mapped_.view().RxBuffer(buffer), packet.data(), std::min<size_t>(packet.size(), kGeometry.buffer_size));
    to_app_.push_back({kthread, abi::Encode(abi::RxPacket{buffer, hash, static_cast<uint16_t>(packet.size()), flags})});
    return true;
  }
  void InjectMessage(const abi::LrpcMessage& message) {
    const std::lock_guard lock(mutex_);
    to_app_.push_back({0, message});
  }
  // The next packet that the app sent.
  std::optional<Packet> Take() {
    const std::lock_guard lock(mutex_);
    if (from_app_.empty()) return std::nullopt;
    Packet packet = std::move(from_app_.front());
    from_app_.pop_front();
    return packet;
  }
  size_t free_buffers() {
    const std::lock_guard lock(mutex_);
    return free_.size();
  }
  // While held, nothing is taken from the transmit rings.
  void HoldTransmit(bool hold) { hold_transmit_ = hold; }
  // Closes the control socket and grants nothing any more: kill -9.
  void Die() { dead_ = true; }

  uint64_t Count(std::atomic<uint64_t> abi::RuntimeCounters::*counter) {
    uint64_t sum = 0;
    for (Kthread& k : kthreads_) sum += (k.block->counters.*counter).load();
    return sum;
  }

 private:
  struct Kthread {
    Kthread(const io::RegionView& r, uint32_t k)
        : block(r.layout.Kthread(r.base, k)),
          rx(r.layout.RxRing(r.base, k), kGeometry.rx_slots, &block->app_heads.head0),
          tx(r.layout.TxRing(r.base, k), kGeometry.tx_slots, &block->iokernel_heads.head0),
          fill(r.layout.FillRing(r.base, k), kGeometry.fill_slots, &block->iokernel_heads.head1),
          issuer(&block->signal, &block->grant) {}
    abi::KthreadBlock* block;
    abi::LrpcSender rx;
    abi::LrpcReceiver tx;
    abi::LrpcReceiver fill;
    abi::GrantIssuer issuer;
  };
  struct ToApp {
    uint32_t kthread;
    abi::LrpcMessage message;
  };

  static io::MappedRegion Map(FakeRegion* region) {
    auto mapped = io::MappedRegion::Map(region->Finish(), region->bytes, region->header.epoch);
    if (!mapped) std::abort();
    return std::move(*mapped);
  }

  // The control thread: one app, until it leaves or this daemon dies.
  void Serve(int socket) {
    FakeControl::Receive<abi::AttachRequest>(socket);
    const auto answer = GoodAnswer(region_.bytes);
    FakeControl::Send(socket, &answer, sizeof(answer), region_.fd.get());
    char ready[256];
    if (recv(socket, ready, sizeof(ready), 0) <= 0) return;
    const auto ok = OkAnswer();
    FakeControl::Send(socket, &ok, sizeof(ok));
    thread_ = std::thread([this] { Loop(); });
    timeval patience{0, 1000};
    setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    char byte;
    while (!dead_ && (recv(socket, &byte, 1, 0) > 0 || errno == EAGAIN)) {
      errno = 0;
    }
    dead_ = true;
  }

  void Loop() {
    while (!dead_) {
      {
        const std::lock_guard lock(mutex_);
        Exchange();
      }
      for (uint32_t k = 0; k < kGeometry.kthreads; ++k) GrantIfWorkWaits(k);
      std::this_thread::yield();
    }
  }

  void Exchange() {
    const abi::RegionLayout& layout = mapped_.view().layout;
    while (!to_app_.empty()) {
      const ToApp& next = to_app_.front();
      if (!kthreads_[next.kthread].rx.Send(next.message.command, next.message.payload)) break;
      to_app_.pop_front();
    }
    for (uint32_t k = 0; k < kGeometry.kthreads; ++k) {
      Kthread& kthread = kthreads_[k];
      abi::LrpcMessage message;
      for (uint32_t slot = kthread.tx.received(); !hold_transmit_ && kthread.tx.Receive(&message); ++slot) {
        const std::byte* at = layout.TxBuffer(mapped_.view().base, k, slot % kGeometry.tx_slots);
        from_app_.emplace_back(at, at + abi::DecodeTx(message).length);
      }
      kthread.tx.PublishHead();
      while (kthread.fill.Receive(&message)) free_.push_back(static_cast<uint32_t>(abi::DecodeFill(message)));
      kthread.fill.PublishHead();
    }
  }

  void GrantIfWorkWaits(uint32_t k) {
    Kthread& kthread = kthreads_[k];
    (void)kthread.issuer.Poll();
    if (kthread.issuer.state() != abi::GrantState::kParked) return;
    const uint32_t kick = mapped_.view().kick().load(std::memory_order_acquire);
    if (!abi::WorkWaits(kthread.issuer.Record(), kthread.rx.sent(), kick, abi::ReadTsc())) return;
    kthread.issuer.Grant(k, 0);
    syscall(SYS_futex, &kthread.block->grant.generation, FUTEX_WAKE, 1, nullptr, nullptr, 0);
  }

  FakeRegion region_;
  io::MappedRegion mapped_;
  std::vector<Kthread> kthreads_;
  std::atomic<bool> dead_{false};
  std::atomic<bool> hold_transmit_{false};

  std::mutex mutex_;  // guards the rest
  std::deque<uint32_t> free_;
  std::deque<ToApp> to_app_;
  std::deque<Packet> from_app_;

  std::thread thread_;
  std::optional<FakeControl> control_;
};

}  // namespace sluice
