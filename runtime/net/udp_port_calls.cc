// udp_port_calls.cc - what uthreads do with a port: connect, send, receive, serve. See udp_port.h.
#include <cstring>
#include <thread>

#include "iokernel/abi/wire.h"
#include "runtime/net/transmit.h"
#include "runtime/net/udp_port.h"
#include "runtime/sync/deadline.h"
#include "sluice/thread.h"
#include "sluice/time.h"

namespace sluice::net {
namespace {

constexpr size_t kHeaderBytes = abi::kIpv4HeaderBytes + abi::kUdpHeaderBytes;
// How long to sleep between looks at something that takes microseconds and that nobody will tell us of.
constexpr std::chrono::microseconds kPoll{20};

// A port of one host: neither group, nor this network, nor its broadcast address.
bool IsHost(Endpoint e) {
  const uint32_t host_mask = ~TheStack().prefix_mask;
  const bool ours = ((e.address ^ TheStack().address) & ~host_mask) == 0;
  const uint32_t host = e.address & host_mask;
  // RFC 3021: on a /31 both addresses are hosts'.
  const bool reserved = ours && host_mask > 1 && (host == 0 || host == host_mask);
  return e.port != 0 && abi::IsUnicastAddress(e.address) && !reserved;
}

bool OnKthread() {
  const sched::PreemptGuard guard;
  return arch::CurrentKthread() != nullptr;
}

}  // namespace

Expected<void> UdpPort::Connect(Endpoint remote) {
  if (number() == 0) return tl::unexpected(Error::kClosed);
  if (!IsHost(remote)) return tl::unexpected(Error::kInvalid);
  remote_.store(uint64_t{remote.address} << 16 | remote.port, std::memory_order_relaxed);
  return {};
}

Expected<size_t> UdpPort::SendTo(std::span<const std::byte> payload, Endpoint remote) {
  const uint16_t local_port = number();
  if (local_port == 0) return tl::unexpected(Error::kClosed);
  const Stack& stack = TheStack();
  if (!stack.open()) return tl::unexpected(Error::kIoKernelGone);
  if (payload.size() > stack.mtu - kHeaderBytes) return tl::unexpected(Error::kMessageTooBig);
  if (!IsHost(remote)) return tl::unexpected(Error::kInvalid);

  const auto write = [&](std::byte* at, uint16_t id) {
    const auto bytes = static_cast<uint16_t>(payload.size());
    abi::Ipv4Fields ip;
    ip.source = stack.address;
    ip.destination = remote.address;
    ip.payload_bytes = static_cast<uint16_t>(abi::kUdpHeaderBytes + bytes);
    ip.id = id;
    ip.protocol = abi::kProtocolUdp;
    abi::WriteIpv4(at, ip);
    if (bytes != 0) std::memcpy(at + kHeaderBytes, payload.data(), bytes);
    abi::WriteUdp(at + abi::kIpv4HeaderBytes, {stack.address, remote.address, local_port, remote.port, bytes});
  };
  const auto count = [this](sched::Kthread& kthread) { Bump(shards_[kthread.index()].sent); };
  const auto sent = Transmit(kHeaderBytes + payload.size(), write, count);
  if (!sent) return tl::unexpected(sent.error());
  return payload.size();
}

Expected<Datagram> UdpPort::Recv(std::chrono::nanoseconds timeout) {
  bool timed_out = timeout.count() <= 0;
  const uint64_t deadline = timed_out ? 0 : detail::ToTicks(Clock::After(timeout));
  Expected<Datagram> result = tl::unexpected(Error::kTimedOut);
  lock_.Lock();
  ++receivers_;
  for (;;) {
    if (queued_ > 0) {
      result = Pop();
      break;
    }
    if (const auto why = WhyNot()) {
      result = tl::unexpected(*why);
      break;
    }
    if (timed_out) break;
    timed_out = waiters_.Wait(lock_, deadline) == detail::WakeReason::kTimedOut;
    lock_.Lock();
  }
  --receivers_;
  lock_.Unlock();
  return result;
}

Error UdpPort::Serve(std::function<void(Datagram)> handler) {
  uint32_t chain;
  {
    const detail::SpinGuard guard(lock_);
    if (state_ != State::kOpen) return Error::kClosed;
    if (served_) return Error::kInvalid;
    served_ = true;
    ++receivers_;
    handler_.swap(handler);
    chain = TakeQueue();
    // Release pairs with Deliver: whoever sees this sees the handler.
    serving_.store(true, std::memory_order_seq_cst);
  }
  while (chain != kNoBuffer) {
    Datagram datagram = TakeFromChain(&chain);
    Shard& shard = shards_[datagram.steered_kthread()];
    shard.in_flight.fetch_add(1, std::memory_order_seq_cst);
    (void)SpawnHandler(shard, std::move(datagram));
  }

  lock_.Lock();
  std::optional<Error> why;
  while (!(why = WhyNot())) {
    server_.Wait(lock_);
    lock_.Lock();
  }
  serving_.store(false, std::memory_order_seq_cst);
  lock_.Unlock();
  AwaitHandlers();

  const detail::SpinGuard guard(lock_);
  handler_.swap(handler);
  served_ = false;
  --receivers_;
  return *why;
}

void UdpPort::AwaitHandlers() const {
  for (const Shard& shard : shards_) {
    while (shard.in_flight.load(std::memory_order_seq_cst) != 0) Sleep(kPoll);
  }
}

bool UdpPort::AwaitEmpty() {
  for (;;) {
    {
      const detail::SpinGuard guard(lock_);
      if (receivers_ == 0) return true;
    }
    if (!TheStack().open()) return false;
    if (OnKthread()) {
      Sleep(kPoll);
    } else {
      std::this_thread::sleep_for(kPoll);
    }
  }
}

}  // namespace sluice::net
