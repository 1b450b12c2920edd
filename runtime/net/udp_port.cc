// udp_port.cc - opening, delivery, shutting. What uthreads do with a port is in udp_port_calls.cc. See udp_port.h.
#include "runtime/net/udp_port.h"

#include "runtime/sched/scheduler.h"
#include "sluice/thread.h"

namespace sluice::net {
namespace {

constexpr uint64_t Pack(Endpoint e) { return uint64_t{e.address} << 16 | e.port; }

}  // namespace

void UdpPort::Open(uint16_t number, const UdpOptions& options) {
  const detail::SpinGuard guard(lock_);
  for (Shard& shard : shards_) {
    shard.received.store(0, std::memory_order_relaxed);
    shard.queue_full.store(0, std::memory_order_relaxed);
    shard.sent.store(0, std::memory_order_relaxed);
  }
  queue_limit_.store(options.queue_limit, std::memory_order_relaxed);
  remote_.store(0, std::memory_order_relaxed);
  number_.store(number, std::memory_order_relaxed);
  state_ = State::kOpen;
}

// ---- the way in -----------------------------------------------------------------------------------

Datagram UdpPort::Own(const Arrival& arrival) {
  Datagram d;
  d.data_ = arrival.payload.data();
  d.size_ = static_cast<uint16_t>(arrival.payload.size());
  d.epoch_ = TheStack().epoch.load(std::memory_order_relaxed);
  d.source_ = arrival.source;
  d.buffer_ = arrival.buffer;
  d.flow_hash_ = arrival.flow_hash;
  d.steered_kthread_ = arrival.steered_kthread;
  return d;
}

bool UdpPort::Accepts(const Arrival& arrival) const {
  const uint64_t remote = remote_.load(std::memory_order_relaxed);
  return number_.load(std::memory_order_relaxed) == arrival.port && (remote == 0 || remote == Pack(arrival.source));
}

Delivered UdpPort::Deliver(sched::Kthread& executing, const Arrival& arrival) {
  if (serving_.load(std::memory_order_acquire)) return DeliverToHandler(executing, arrival);
  lock_.Lock();
  if (serving_.load(std::memory_order_relaxed)) {  // a Serve began between the look and the lock
    lock_.Unlock();
    return DeliverToHandler(executing, arrival);
  }
  const Delivered result = DeliverToQueue(executing, arrival);
  detail::Waiter* waiter = result == Delivered::kTaken ? waiters_.TakeOne() : nullptr;
  lock_.Unlock();
  detail::Wake(waiter);
  return result;
}

Delivered UdpPort::DeliverToQueue(sched::Kthread& executing, const Arrival& arrival) {
  if (state_ != State::kOpen || !Accepts(arrival)) return Delivered::kNoSocket;
  Shard& shard = shards_[executing.index()];
  if (queued_ >= queue_limit_.load(std::memory_order_relaxed)) {
    Bump(shard.queue_full);
    return Delivered::kQueueFull;
  }
  Push(Own(arrival));
  Bump(shard.received);
  return Delivered::kTaken;
}

Delivered UdpPort::DeliverToHandler(sched::Kthread& executing, const Arrival& arrival) {
  Shard& shard = shards_[executing.index()];
  const uint32_t before = shard.in_flight.fetch_add(1, std::memory_order_seq_cst);
  const auto refuse = [&shard](Delivered result) {
    shard.in_flight.fetch_sub(1, std::memory_order_seq_cst);
    return result;
  };
  // From here on, if serving, the handler stays until this count is taken back. Serving may also have ended: then
  // the socket is being shut, or the IOKernel has gone.
  if (!serving_.load(std::memory_order_seq_cst) || !Accepts(arrival)) return refuse(Delivered::kNoSocket);
  if (before >= queue_limit_.load(std::memory_order_relaxed)) {
    Bump(shard.queue_full);
    return refuse(Delivered::kQueueFull);
  }
  if (SpawnHandler(shard, Own(arrival))) {
    Bump(shard.received);
  } else {  // the datagram went with the closure
    Bump(shard.queue_full);
    Bump(executing.counters().drop_queue_full);
  }
  return Delivered::kTaken;
}

bool UdpPort::SpawnHandler(Shard& shard, Datagram datagram) {
  const bool spawned = TrySpawn([this, &shard, datagram = std::move(datagram)]() mutable {
    handler_(std::move(datagram));
    shard.in_flight.fetch_sub(1, std::memory_order_seq_cst);
  });
  if (!spawned) shard.in_flight.fetch_sub(1, std::memory_order_seq_cst);
  return spawned;
}

// ---- the queue: a chain through Stack::queued -----------------------------------------------------

void UdpPort::Push(Datagram datagram) {
  QueuedDatagram* all = TheStack().queued.get();
  const uint32_t buffer = datagram.buffer_;
  all[buffer].datagram = std::move(datagram);
  all[buffer].next = kNoBuffer;
  (queued_ == 0 ? queue_head_ : all[queue_tail_].next) = buffer;
  queue_tail_ = buffer;
  ++queued_;
}

Datagram UdpPort::Pop() {
  --queued_;
  return TakeFromChain(&queue_head_);
}

uint32_t UdpPort::TakeQueue() {
  const uint32_t head = queued_ == 0 ? kNoBuffer : queue_head_;
  queued_ = 0;
  return head;
}

Datagram UdpPort::TakeFromChain(uint32_t* head) {
  QueuedDatagram& front = TheStack().queued[*head];
  *head = front.next;
  return std::move(front.datagram);
}

// ---- the end --------------------------------------------------------------------------------------

std::optional<Error> UdpPort::WhyNot() const {
  if (state_ != State::kOpen) return Error::kClosed;
  if (sched::IsIoKernelGone()) return Error::kIoKernelGone;
  return std::nullopt;
}

uint16_t UdpPort::Shutdown() {
  uint16_t number = 0;
  uint32_t chain = kNoBuffer;
  detail::Waiter* receivers = nullptr;
  detail::Waiter* servers = nullptr;
  {
    const detail::SpinGuard guard(lock_);
    if (state_ != State::kOpen) return 0;
    state_ = State::kShut;
    number = number_.exchange(0, std::memory_order_relaxed);
    chain = TakeQueue();
    receivers = waiters_.TakeAll();
    servers = server_.TakeAll();
  }
  detail::Wake(receivers);
  detail::Wake(servers);
  while (chain != kNoBuffer) TakeFromChain(&chain).Release();
  return number;
}

void UdpPort::WakeGone() {
  lock_.Lock();
  detail::Waiter* receivers = waiters_.TakeAll(detail::WakeReason::kGone);
  detail::Waiter* servers = server_.TakeAll(detail::WakeReason::kGone);
  lock_.Unlock();
  detail::Wake(receivers);
  detail::Wake(servers);
}

void UdpPort::DropQueue() {
  const detail::SpinGuard guard(lock_);
  (void)TakeQueue();
}

Endpoint UdpPort::remote() const {
  const uint64_t remote = remote_.load(std::memory_order_relaxed);
  return {static_cast<uint32_t>(remote >> 16), static_cast<uint16_t>(remote)};
}

UdpStats UdpPort::stats() const {
  UdpStats stats;
  for (const Shard& shard : shards_) {
    stats.received += shard.received.load(std::memory_order_relaxed);
    stats.queue_full += shard.queue_full.load(std::memory_order_relaxed);
    stats.sent += shard.sent.load(std::memory_order_relaxed);
  }
  return stats;
}

}  // namespace sluice::net
