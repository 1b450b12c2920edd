// udp.h - UDP sockets for uthreads.
//
// A call that waits blocks its uthread only. Every call may be made by any uthread, several at a time; Shutdown and
// Close also by other threads. Errors are values; see error.h.
//
// A socket receives in one of two ways:
//  - Recv and RecvFrom take datagrams from the socket's queue. When the queue is full, new ones are dropped and
//    counted.
//  - Serve runs a handler in a uthread of its own for every datagram. The work is stolen by idle cores, and a slow
//    request holds up nobody; use it for servers.
//
// Datagrams to this app's own address travel through the IOKernel like those to another app of the machine.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <utility>

#include "sluice/error.h"
#include "sluice/net.h"

namespace sluice {

namespace net {
class UdpPort;
}

// A received datagram, where it arrived: in a receive buffer that this object owns and gives back when it goes.
// Buffers are few (an app has some thousands), so keep what you need, not the Datagram.
class Datagram {
 public:
  Datagram() = default;
  Datagram(Datagram&& other) noexcept { *this = std::move(other); }
  Datagram& operator=(Datagram&& other) noexcept;
  ~Datagram() { Release(); }

  [[nodiscard]] std::span<const std::byte> payload() const { return {data_, size_}; }
  [[nodiscard]] Endpoint source() const { return source_; }

  // How it travelled, for those who study steering: the kthread that the IOKernel sent it to, the kthread that runs
  // the caller now (another one if the work was stolen), and the Toeplitz hash of its flow.
  [[nodiscard]] uint16_t steered_kthread() const { return steered_kthread_; }
  [[nodiscard]] static uint16_t executing_kthread();
  [[nodiscard]] uint32_t flow_hash() const { return flow_hash_; }

  // Gives the buffer back now; the payload is gone then.
  void Release();

 private:
  friend class net::UdpPort;

  const std::byte* data_ = nullptr;
  uint64_t epoch_ = 0;
  Endpoint source_;
  uint32_t buffer_ = 0;
  uint32_t flow_hash_ = 0;
  uint16_t size_ = 0;
  uint16_t steered_kthread_ = 0;
};

struct UdpOptions {
  // Datagrams that may wait in the queue. For Serve: datagrams whose handler has not finished, per kthread.
  uint32_t queue_limit = 1024;
};

struct UdpStats {
  uint64_t received = 0;    // put into the queue, or given to a handler
  uint64_t queue_full = 0;  // dropped because the queue was full
  uint64_t sent = 0;
};

class UdpSocket {
 public:
  // The largest payload of a datagram on a network with this MTU.
  [[nodiscard]] static constexpr size_t MaxPayload(size_t mtu) { return mtu - 28; }
  // The same on this app's network.
  [[nodiscard]] static size_t MaxPayload();

  // Claims a port of this app. Address 0 or the app's own; port 0: a free one of 49152..65535.
  // Errors: kAddressInUse, kNoPorts, kInvalid (a foreign address), kIoKernelGone.
  [[nodiscard]] static Expected<UdpSocket> Bind(Endpoint local, const UdpOptions& options = {});

  UdpSocket() = default;  // holds no socket: every call returns kClosed
  UdpSocket(UdpSocket&& other) noexcept : port_(std::exchange(other.port_, nullptr)) {}
  UdpSocket& operator=(UdpSocket&& other) noexcept;
  ~UdpSocket() { Close(); }

  // From now on Send goes to `remote`, and only datagrams from there are received. Errors: kInvalid (address or port
  // is 0, or the address is no host's), kClosed.
  Expected<void> Connect(Endpoint remote);

  // Sends one datagram; returns its size. It is in the transmit ring then: the buffer may be used again, and while
  // the IOKernel lives the datagram reaches the port. Waits a little for room in the ring.
  // Errors: kMessageTooBig (over MaxPayload), kQueueFull, kIoKernelGone, kClosed, kInvalid, kNotConnected.
  Expected<size_t> SendTo(std::span<const std::byte> payload, Endpoint remote);
  Expected<size_t> Send(std::span<const std::byte> payload);

  // Takes the next datagram, in place, or copies it into `buffer` (what does not fit is lost, as with recvfrom) and
  // returns the bytes copied. Timeout 0: only if one is there. Errors: kTimedOut, kClosed, kIoKernelGone.
  Expected<Datagram> Recv(std::chrono::nanoseconds timeout = kForever);
  Expected<size_t> RecvFrom(std::span<std::byte> buffer, Endpoint* from = nullptr,
                            std::chrono::nanoseconds timeout = kForever);

  // Runs `handler` in a uthread of its own for each datagram, those already in the queue included, until the socket
  // is shut down or the IOKernel goes away; says which (kClosed, kIoKernelGone) after the last handler has returned.
  // kInvalid: somebody serves this socket already.
  Error Serve(std::function<void(Datagram)> handler);

  // Wakes everybody who waits on this socket with kClosed; the port is free again. Close waits for them to leave and
  // frees the socket: afterwards no other uthread may use this object. A handler of Serve calls Shutdown, not Close,
  // which would wait for the handler.
  void Shutdown();
  void Close();

  [[nodiscard]] Endpoint local() const;
  [[nodiscard]] Endpoint remote() const;  // {0, 0}: not connected
  [[nodiscard]] UdpStats stats() const;
  [[nodiscard]] explicit operator bool() const { return port_ != nullptr; }

 private:
  explicit UdpSocket(net::UdpPort* port) : port_(port) {}

  net::UdpPort* port_ = nullptr;
};

}  // namespace sluice
