// udp_socket.cc - sluice/udp.h on top of UdpPort.
#include <algorithm>
#include <cstring>

#include "runtime/net/udp_port.h"
#include "runtime/net/udp_ports.h"
#include "runtime/sched/preempt.h"
#include "runtime/sched/scheduler.h"
#include "sluice/udp.h"

namespace sluice {

// ---- Datagram -------------------------------------------------------------------------------------

Datagram& Datagram::operator=(Datagram&& other) noexcept {
  if (this == &other) return *this;
  Release();
  data_ = std::exchange(other.data_, nullptr);
  size_ = std::exchange(other.size_, uint16_t{0});
  epoch_ = other.epoch_;
  source_ = other.source_;
  buffer_ = other.buffer_;
  flow_hash_ = other.flow_hash_;
  steered_kthread_ = other.steered_kthread_;
  return *this;
}

void Datagram::Release() {
  if (data_ == nullptr) return;
  data_ = nullptr;
  size_ = 0;
  net::GiveBack(epoch_, buffer_);
}

uint16_t Datagram::executing_kthread() {
  const sched::PreemptGuard guard;
  const sched::Kthread* kthread = arch::CurrentKthread();
  return kthread == nullptr ? uint16_t{0xffff} : static_cast<uint16_t>(kthread->index());
}

// ---- UdpSocket ------------------------------------------------------------------------------------

size_t UdpSocket::MaxPayload() {
  const net::Stack& stack = net::TheStack();
  return stack.open() ? MaxPayload(stack.mtu) : 0;
}

Expected<UdpSocket> UdpSocket::Bind(Endpoint local, const UdpOptions& options) {
  const net::Stack& stack = net::TheStack();
  if (!stack.open() || sched::IsIoKernelGone()) return tl::unexpected(Error::kIoKernelGone);
  if (local.address != 0 && local.address != stack.address) return tl::unexpected(Error::kInvalid);
  const auto port = net::OpenPort(local.port, options);
  if (!port) return tl::unexpected(port.error());
  return UdpSocket(*port);
}

UdpSocket& UdpSocket::operator=(UdpSocket&& other) noexcept {
  if (this == &other) return *this;
  Close();
  port_ = std::exchange(other.port_, nullptr);
  return *this;
}

Expected<void> UdpSocket::Connect(Endpoint remote) {
  if (port_ == nullptr) return tl::unexpected(Error::kClosed);
  return port_->Connect(remote);
}

Expected<size_t> UdpSocket::SendTo(std::span<const std::byte> payload, Endpoint remote) {
  if (port_ == nullptr) return tl::unexpected(Error::kClosed);
  return port_->SendTo(payload, remote);
}

Expected<size_t> UdpSocket::Send(std::span<const std::byte> payload) {
  if (port_ == nullptr || port_->number() == 0) return tl::unexpected(Error::kClosed);
  const Endpoint remote = port_->remote();
  if (remote.port == 0) return tl::unexpected(Error::kNotConnected);
  return port_->SendTo(payload, remote);
}

Expected<Datagram> UdpSocket::Recv(std::chrono::nanoseconds timeout) {
  if (port_ == nullptr) return tl::unexpected(Error::kClosed);
  return port_->Recv(timeout);
}

Expected<size_t> UdpSocket::RecvFrom(std::span<std::byte> buffer, Endpoint* from, std::chrono::nanoseconds timeout) {
  const auto datagram = Recv(timeout);
  if (!datagram) return tl::unexpected(datagram.error());
  const size_t bytes = std::min(buffer.size(), datagram->payload().size());
  if (bytes != 0) std::memcpy(buffer.data(), datagram->payload().data(), bytes);
  if (from != nullptr) *from = datagram->source();
  return bytes;
}

Error UdpSocket::Serve(std::function<void(Datagram)> handler) {
  if (port_ == nullptr) return Error::kClosed;
  return port_->Serve(std::move(handler));
}

void UdpSocket::Shutdown() {
  if (port_ != nullptr) net::ShutPort(port_);
}

void UdpSocket::Close() {
  if (port_ != nullptr) net::ClosePort(std::exchange(port_, nullptr));
}

Endpoint UdpSocket::local() const {
  if (port_ == nullptr) return {};
  return {net::TheStack().address, port_->number()};
}

Endpoint UdpSocket::remote() const { return port_ == nullptr ? Endpoint{} : port_->remote(); }

UdpStats UdpSocket::stats() const { return port_ == nullptr ? UdpStats{} : port_->stats(); }

}  // namespace sluice
