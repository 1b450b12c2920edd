// udp_ports.cc - see udp_ports.h.
#include "runtime/net/udp_ports.h"

#include "iokernel/abi/clock.h"
#include "runtime/sched/scheduler.h"

namespace sluice::net {
namespace {

// RFC 6335, section 6: the dynamic ports.
constexpr uint32_t kFirstEphemeral = 49152;
constexpr uint32_t kEphemerals = 65536 - kFirstEphemeral;

struct Ports {
  std::atomic<UdpPort*> by_number[65536];
  std::atomic<UdpPort*> made;  // all ports, linked by next_made; it only grows
  detail::SpinLock free_lock;
  UdpPort* free = nullptr;  // linked by next_free
};
constinit Ports ports;

// A port for our use alone: a free one, else a new one.
UdpPort* TakeFree(size_t kthreads) {
  {
    const detail::SpinGuard guard(ports.free_lock);
    // A port made for an attachment with fewer kthreads stays behind.
    for (UdpPort** link = &ports.free; *link != nullptr; link = &(*link)->next_free) {
      if ((*link)->kthreads() < kthreads) continue;
      UdpPort* port = *link;
      *link = port->next_free;
      return port;
    }
  }
  auto* port = new UdpPort(static_cast<uint32_t>(kthreads));
  port->next_made = ports.made.load(std::memory_order_relaxed);
  // Release: whoever walks the list sees the port's members.
  while (!ports.made.compare_exchange_weak(port->next_made, port, std::memory_order_release)) {
  }
  return port;
}

void PutFree(UdpPort* port) {
  const detail::SpinGuard guard(ports.free_lock);
  port->next_free = ports.free;
  ports.free = port;
}

template <class Visit>
void ForEachPort(Visit visit) {
  for (UdpPort* p = ports.made.load(std::memory_order_acquire); p != nullptr; p = p->next_made) visit(p);
}

// Opens `port` under `number` and publishes it. False: the number is taken.
bool Claim(UdpPort* port, uint16_t number, const UdpOptions& options) {
  if (ports.by_number[number].load(std::memory_order_relaxed) != nullptr) return false;
  port->Open(number, options);
  UdpPort* nobody = nullptr;
  // Release pairs with DeliverToPort's acquire.
  if (ports.by_number[number].compare_exchange_strong(nobody, port, std::memory_order_release,
                                                      std::memory_order_relaxed)) {
    return true;
  }
  port->Shutdown();
  return false;
}

// The free list is short and the ports are many: a walk from a place that is hard to guess (RFC 6056, section 3.3.1).
bool ClaimEphemeral(UdpPort* port, const UdpOptions& options) {
  const auto start = static_cast<uint32_t>((abi::ReadTsc() * 0x9e3779b97f4a7c15ULL) >> 40);
  for (uint32_t i = 0; i < kEphemerals; ++i) {
    if (Claim(port, static_cast<uint16_t>(kFirstEphemeral + (start + i) % kEphemerals), options)) return true;
  }
  return false;
}

}  // namespace

Delivered DeliverToPort(sched::Kthread& executing, const Arrival& arrival) {
  UdpPort* port = ports.by_number[arrival.port].load(std::memory_order_acquire);
  return port == nullptr ? Delivered::kNoSocket : port->Deliver(executing, arrival);
}

Expected<UdpPort*> OpenPort(uint16_t number, const UdpOptions& options) {
  UdpPort* port = TakeFree(TheStack().region.kthreads());
  const bool claimed = number != 0 ? Claim(port, number, options) : ClaimEphemeral(port, options);
  if (claimed) return port;
  PutFree(port);
  return tl::unexpected(number != 0 ? Error::kAddressInUse : Error::kNoPorts);
}

void ShutPort(UdpPort* port) {
  const uint16_t number = port->Shutdown();
  if (number != 0) ports.by_number[number].store(nullptr, std::memory_order_release);
}

void ClosePort(UdpPort* port) {
  ShutPort(port);
  if (port->AwaitEmpty()) PutFree(port);
}

void WakePortsWhenGone() {
  static sched::GoneHook hook{[](void*) { ForEachPort([](UdpPort* p) { p->WakeGone(); }); }, nullptr, nullptr};
  static const bool added = (sched::AddGoneHook(&hook), true);
  (void)added;
}

void DropQueues() {
  ForEachPort([](UdpPort* p) { p->DropQueue(); });
}

}  // namespace sluice::net
