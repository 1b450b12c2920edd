// udp_port.h - a UDP port of this app: what a UdpSocket stands for. Its queue or its handler, and who waits.
//
// Softirqs find ports through a table without taking a reference, and a socket may be closed meanwhile. So ports are
// type-stable: they are made on demand, never freed, and used again. Whoever found one makes sure that it still is
// the port it looked for: under the lock, or, on the way to a handler, by the in-flight count:
//
//   softirq                                 end of Serve
//     in_flight += 1       (seq_cst)          serving = false             (seq_cst)
//     serving, number?     (seq_cst)          wait until in_flight == 0   (seq_cst)
//     yes: spawn the handler, which ends with in_flight -= 1;  no: in_flight -= 1, then take the lock
//
// Either the softirq sees that serving has ended, or the end sees the softirq's count and waits. The counts are per
// kthread, so that kthreads that serve the same port write no line in common.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "runtime/net/stack.h"
#include "runtime/sched/kthread.h"
#include "sluice/detail/wait_queue.h"
#include "sluice/udp.h"

namespace sluice::net {

// A datagram that has passed every check, in its receive buffer.
struct Arrival {
  std::span<const std::byte> payload;
  Endpoint source;
  uint16_t port = 0;  // destination
  uint16_t steered_kthread = 0;
  uint32_t buffer = 0;
  uint32_t flow_hash = 0;
};

enum class Delivered : uint8_t {
  kTaken,      // the buffer is no longer the caller's
  kQueueFull,  // dropped, counted by the port
  kNoSocket,   // not this port's
};

class UdpPort {
 public:
  explicit UdpPort(uint32_t kthreads) : shards_(kthreads) {}

  // ---- softirq, preemption off -------------------------------------------------------------------
  Delivered Deliver(sched::Kthread& executing, const Arrival& arrival);

  // ---- the owner of the port object (udp_ports.cc), before it is published -----------------------
  void Open(uint16_t number, const UdpOptions& options);

  // ---- uthreads: the calls of UdpSocket ----------------------------------------------------------
  Expected<void> Connect(Endpoint remote);
  Expected<size_t> SendTo(std::span<const std::byte> payload, Endpoint remote);
  Expected<Datagram> Recv(std::chrono::nanoseconds timeout);
  Error Serve(std::function<void(Datagram)> handler);

  // ---- any thread --------------------------------------------------------------------------------
  // The number that the port had until now; 0: it was shut already.
  uint16_t Shutdown();
  // Waits until nobody is inside Recv or Serve. False: they will never leave, for the runtime has ended.
  [[nodiscard]] bool AwaitEmpty();
  void WakeGone();   // the IOKernel has gone
  void DropQueue();  // the attachment has ended: what is queued is no more
  [[nodiscard]] uint16_t number() const { return number_.load(std::memory_order_relaxed); }
  [[nodiscard]] Endpoint remote() const;
  [[nodiscard]] UdpStats stats() const;
  [[nodiscard]] size_t kthreads() const { return shards_.size(); }

  UdpPort* next_made = nullptr;  // of all ports ever made; constant once published
  UdpPort* next_free = nullptr;  // under the free list's lock

 private:
  enum class State : uint8_t { kShut, kOpen };

  // Counters are written by their kthread, in_flight by any that finishes a handler.
  struct alignas(64) Shard {
    std::atomic<uint32_t> in_flight{0};
    std::atomic<uint64_t> received{0};
    std::atomic<uint64_t> queue_full{0};
    std::atomic<uint64_t> sent{0};
  };

  static Datagram Own(const Arrival& arrival);
  // Handles a datagram counted in `shard`, in a uthread of its own. False: there is no stack for one.
  bool SpawnHandler(Shard& shard, Datagram datagram);
  Delivered DeliverToHandler(sched::Kthread& executing, const Arrival& arrival);
  [[nodiscard]] bool Accepts(const Arrival& arrival) const;
  void AwaitHandlers() const;

  // With the lock held.
  Delivered DeliverToQueue(sched::Kthread& executing, const Arrival& arrival);
  [[nodiscard]] std::optional<Error> WhyNot() const;  // why nothing will come any more
  void Push(Datagram datagram);
  Datagram Pop();
  uint32_t TakeQueue();  // the head of a chain that is the caller's
  static Datagram TakeFromChain(uint32_t* head);

  // Read by softirqs without the lock.
  std::atomic<uint16_t> number_{0};  // 0: shut
  std::atomic<bool> serving_{false};
  std::atomic<uint64_t> remote_{0};        // address << 16 | port; 0: any
  std::atomic<uint32_t> queue_limit_{0};   // constant while open
  std::function<void(Datagram)> handler_;  // constant while serving_ or in flight
  std::vector<Shard> shards_;              // by kthread

  alignas(64) mutable detail::SpinLock lock_;  // guards the rest
  State state_ = State::kShut;
  bool served_ = false;     // a Serve is in progress, from its call to its return
  uint32_t receivers_ = 0;  // uthreads inside Recv or Serve
  uint32_t queued_ = 0;
  uint32_t queue_head_ = kNoBuffer;
  uint32_t queue_tail_ = kNoBuffer;
  detail::WaitQueue waiters_;  // in Recv
  detail::WaitQueue server_;   // in Serve
};

}  // namespace sluice::net
