// fake_iokernel.h - an IOKernel inside a test's own process: a region, grants, packets. No port, no policies.
//
//   FakeIoKernel iokernel({.kthreads = 4});
//   sched::Start({.region = iokernel.view(), ...}); iokernel.Run();
//
// A thread of its own makes passes over the grant lines by the code of the real one (abi/grant.h): whoever parked
// with work is granted again, and so is everybody while `keep_all_granted`. Between passes it yields the CPU.
// Every member may be called by any plain thread.
#pragma once

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <mutex>
#include <random>
#include <span>
#include <thread>
#include <vector>

#include "iokernel/abi/cede_signal.h"
#include "iokernel/abi/check.h"
#include "iokernel/abi/message.h"
#include "iokernel/abi/region.h"
#include "runtime/io/region_view.h"

namespace sluice::test {

struct FakeIoKernelOptions {
  uint32_t kthreads = 4;
  uint32_t rx_slots = 256;
  uint32_t tx_slots = 64;
  uint32_t rx_buffers = 512;
  uint32_t address = 0x0a000002;  // 10.0.0.2
  uint32_t prefix_bits = 24;
  uint32_t mtu = 1500;
  uint64_t epoch = 1;
  bool shared_cpus = true;        // tests have more kthreads than CPUs
  uint32_t cores = ~0u;           // granted at a time
  bool keep_all_granted = false;  // an idle kthread gets its core back at once
  bool cede_randomly = false;     // ask somebody for a core every few passes
  bool cede_by_signal = false;    // and send the signal along
  bool end_turns = false;         // of all uthreads that run, at every pass: the shortest time slice there can be
  uint64_t seed = 1;
};

class FakeIoKernel {
 public:
  using TxSink = std::function<void(uint32_t kthread, std::span<const std::byte> packet)>;

  explicit FakeIoKernel(const FakeIoKernelOptions& options) : options_(options), random_(options.seed) {
    abi::Geometry geometry{.kthreads = options.kthreads,
                           .rx_slots = options.rx_slots,
                           .tx_slots = options.tx_slots,
                           .fill_slots = 1,
                           .rx_buffers = options.rx_buffers,
                           .buffer_size = 2048};
    while (geometry.fill_slots < geometry.rx_buffers) geometry.fill_slots *= 2;
    SLUICE_CHECK(abi::RegionLayout::Valid(geometry), "the test's geometry");
    view_.layout = abi::RegionLayout(geometry);
    fd_ = memfd_create("fake-iokernel", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    SLUICE_CHECK(ftruncate(fd_, static_cast<off_t>(bytes())) == 0, "no memory for a test's region");
    SLUICE_CHECK(fcntl(fd_, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0, "a memfd can be sealed");
    void* memory = mmap(nullptr, bytes(), PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
    SLUICE_CHECK(memory != MAP_FAILED, "no memory for a test's region");
    view_.base = static_cast<std::byte*>(memory);
    FillHeader(geometry);
    for (uint32_t b = 0; b < options.rx_buffers; ++b) free_buffers_.push_back(b);
    for (uint32_t k = 0; k < options.kthreads; ++k) ends_.emplace_back(view_, k);
  }
  ~FakeIoKernel() {
    Stop();
    munmap(view_.base, bytes());
    close(fd_);
  }
  FakeIoKernel(const FakeIoKernel&) = delete;
  FakeIoKernel& operator=(const FakeIoKernel&) = delete;

  [[nodiscard]] const io::RegionView& view() const { return view_; }
  [[nodiscard]] size_t bytes() const { return view_.layout.bytes(); }
  // The region's sealed memfd, to be handed over as the real one is.
  [[nodiscard]] int region_fd() const { return fd_; }
  [[nodiscard]] const abi::RuntimeCounters& counters(uint32_t k) const { return Block(k).counters; }
  // The sum of a counter over all kthreads: Sum(&abi::RuntimeCounters::rx_stolen).
  [[nodiscard]] uint64_t Sum(std::atomic<uint64_t> abi::RuntimeCounters::*counter) const {
    uint64_t sum = 0;
    for (uint32_t k = 0; k < options_.kthreads; ++k) sum += (counters(k).*counter).load(std::memory_order_relaxed);
    return sum;
  }

  // Starts granting. `tids`: the kthreads' thread ids, for cedes by signal.
  void Run(std::vector<pid_t> tids = {}) {
    tids_ = std::move(tids);
    running_ = true;
    thread_ = std::thread([this] {
      while (running_) {
        Pass();
        // A kthread that computes may need all of its time on a busy machine: then many slices in a row.
        if (!options_.end_turns || passes_ % 32 == 0) std::this_thread::yield();
      }
    });
  }
  // No grant, packet or cede comes after this. The region stays.
  void Stop() {
    running_ = false;
    if (thread_.joinable()) thread_.join();
  }

  // Called with every packet of the TX rings, from the fake's thread. Set it before Run.
  void OnTx(TxSink sink) { tx_sink_ = std::move(sink); }

  // Puts a packet into a kthread's RX ring. False: ring full, or no buffer is free.
  [[nodiscard]] bool Inject(uint32_t kthread, std::span<const std::byte> packet, uint32_t hash, uint8_t flags = 0) {
    const std::lock_guard lock(mutex_);
    End& end = ends_[kthread];
    if (free_buffers_.empty() || end.rx.Free(1) == 0) return false;
    const uint32_t buffer = free_buffers_.back();
    free_buffers_.pop_back();
    std::memcpy(view_.RxBuffer(buffer), packet.data(), packet.size());
    const abi::LrpcMessage message = Encode(abi::RxPacket{buffer, hash, static_cast<uint16_t>(packet.size()), flags});
    SLUICE_CHECK(end.rx.Send(message.command, message.payload), "a ring with room refused a message");
    return true;
  }

  // Puts anything at all into a kthread's RX ring. False: ring full.
  [[nodiscard]] bool InjectMessage(uint32_t kthread, const abi::LrpcMessage& message) {
    const std::lock_guard lock(mutex_);
    return ends_[kthread].rx.Send(message.command, message.payload);
  }

  // RX buffers that the app does not hold.
  [[nodiscard]] size_t buffers_free() {
    const std::lock_guard lock(mutex_);
    for (uint32_t k = 0; k < options_.kthreads; ++k) DrainFill(k);
    return free_buffers_.size();
  }

  // Asks a kthread for its core, by word, and by signal if options say so.
  void Cede(uint32_t kthread) {
    const std::lock_guard lock(mutex_);
    CedeLocked(kthread);
  }
  // From now on: everybody but `only` is asked for his core and gets none. No argument: as before.
  void GrantOnly(uint32_t only = ~0u) {
    const std::lock_guard lock(mutex_);
    only_ = only;
  }
  [[nodiscard]] bool Parked(uint32_t kthread) {
    const std::lock_guard lock(mutex_);
    return ends_[kthread].issuer.state() == abi::GrantState::kParked;
  }
  [[nodiscard]] uint64_t grants() const { return grants_; }
  [[nodiscard]] uint64_t passes() const { return passes_; }

 private:
  struct End {
    End(const io::RegionView& view, uint32_t k)
        : issuer(&Block(view, k).signal, &Block(view, k).grant),
          rx(view.layout.RxRing(view.base, k), view.layout.geometry().rx_slots, &Block(view, k).app_heads.head0),
          tx(view.layout.TxRing(view.base, k), view.layout.geometry().tx_slots, &Block(view, k).iokernel_heads.head0),
          fill(view.layout.FillRing(view.base, k), view.layout.geometry().fill_slots,
               &Block(view, k).iokernel_heads.head1) {}

    abi::GrantIssuer issuer;
    abi::LrpcSender rx;
    abi::LrpcReceiver tx;
    abi::LrpcReceiver fill;
  };

  static abi::KthreadBlock& Block(const io::RegionView& view, uint32_t k) { return *view.layout.Kthread(view.base, k); }
  [[nodiscard]] abi::KthreadBlock& Block(uint32_t k) const { return Block(view_, k); }

  void FillHeader(const abi::Geometry& geometry) {
    abi::RegionHeader& header = *view_.layout.Header(view_.base);
    header.magic = abi::kMagic;
    header.version = abi::kAbiVersion;
    header.header_bytes = sizeof(header);
    header.epoch = options_.epoch;
    header.bytes = bytes();
    header.tsc_hz = TscHz();
    header.geometry = geometry;
    header.address = options_.address;
    header.prefix_bits = options_.prefix_bits;
    header.mtu = options_.mtu;
    header.shared_cpus = options_.shared_cpus;
    header.features = options_.end_turns ? uint64_t{abi::kFeatureSlices} : 0;
  }

  // Near enough for tests; measured once.
  static uint64_t TscHz() {
    static const uint64_t hz = [] {
      const auto start = std::chrono::steady_clock::now();
      const abi::Ticks ticks = abi::ReadTsc();
      while (std::chrono::steady_clock::now() - start < std::chrono::milliseconds(20)) {
      }
      const abi::Ticks elapsed = abi::ReadTsc() - ticks;
      const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
      return static_cast<uint64_t>(static_cast<double>(elapsed) / seconds.count());
    }();
    return hz;
  }

  void Pass() {
    const std::lock_guard lock(mutex_);
    ++passes_;
    const abi::Ticks now = abi::ReadTsc();
    uint32_t granted = 0;
    for (uint32_t k = 0; k < options_.kthreads; ++k) {
      (void)ends_[k].issuer.Poll();
      DrainTx(k);
      DrainFill(k);
      granted += ends_[k].issuer.state() != abi::GrantState::kParked;
    }
    const auto first = static_cast<uint32_t>(random_() % options_.kthreads);
    for (uint32_t i = 0; i < options_.kthreads && granted < options_.cores; ++i) {
      const uint32_t k = (first + i) % options_.kthreads;
      const bool banned = only_ != ~0u && k != only_;
      if (ends_[k].issuer.state() != abi::GrantState::kParked || banned || !WantsCore(k, now)) continue;
      Grant(k);
      ++granted;
    }
    if (options_.cede_randomly && random_() % 4 == 0) CedeLocked(static_cast<uint32_t>(random_() % options_.kthreads));
    for (uint32_t k = 0; only_ != ~0u && k < options_.kthreads; ++k) {
      if (k != only_) CedeLocked(k);
    }
    for (uint32_t k = 0; options_.end_turns && k < options_.kthreads; ++k) EndTurn(k);
  }

  [[nodiscard]] bool WantsCore(uint32_t k, abi::Ticks now) const {
    const abi::SignalLine& line = Block(k).signal;
    return options_.keep_all_granted || only_ == k || line.rq_head.load() != line.rq_tail.load() ||
           abi::WorkWaits(ends_[k].issuer.Record(), ends_[k].rx.sent(), view_.kick().load(), now);
  }

  void Grant(uint32_t k) {
    ++grants_;
    ends_[k].issuer.Grant(k, k % std::max(1u, std::thread::hardware_concurrency()));
    syscall(SYS_futex, &Block(k).grant.generation, FUTEX_WAKE, 1, nullptr, nullptr, 0);
  }

  void CedeLocked(uint32_t k) {
    const bool asked = ends_[k].issuer.state() == abi::GrantState::kCeding;
    ends_[k].issuer.Cede();
    if (asked || ends_[k].issuer.state() == abi::GrantState::kParked) return;
    if (options_.cede_by_signal && k < tids_.size()) syscall(SYS_tgkill, getpid(), tids_[k], abi::kCedeSignal);
  }

  void EndTurn(uint32_t k) {
    if (ends_[k].issuer.state() != abi::GrantState::kRunning || k >= tids_.size()) return;
    ends_[k].issuer.EndTurn(Block(k).signal.rq_head.load(std::memory_order_relaxed));
    syscall(SYS_tgkill, getpid(), tids_[k], abi::kCedeSignal);
  }

  void DrainTx(uint32_t k) {
    abi::LrpcMessage message;
    for (;;) {
      const uint32_t slot = ends_[k].tx.received() & (options_.tx_slots - 1);
      if (!ends_[k].tx.Receive(&message)) break;
      const std::byte* packet = view_.layout.TxBuffer(view_.base, k, slot);
      if (tx_sink_) tx_sink_(k, {packet, abi::DecodeTx(message).length});
    }
    ends_[k].tx.PublishHead();
  }

  void DrainFill(uint32_t k) {
    abi::LrpcMessage message;
    while (ends_[k].fill.Receive(&message)) {
      const uint64_t buffer = abi::DecodeFill(message);
      SLUICE_CHECK(buffer < options_.rx_buffers && std::count(free_buffers_.begin(), free_buffers_.end(), buffer) == 0,
                   "the app gave back a buffer that it does not hold");
      free_buffers_.push_back(static_cast<uint32_t>(buffer));
    }
    ends_[k].fill.PublishHead();
  }

  FakeIoKernelOptions options_;
  io::RegionView view_;
  int fd_ = -1;
  std::mutex mutex_;
  std::vector<End> ends_;
  std::vector<uint32_t> free_buffers_;
  std::vector<pid_t> tids_;
  TxSink tx_sink_;
  std::mt19937_64 random_;
  uint32_t only_ = ~0u;
  std::atomic<uint64_t> grants_{0};
  std::atomic<uint64_t> passes_{0};
  std::atomic<bool> running_{false};
  std::thread thread_;
};

}  // namespace sluice::test
