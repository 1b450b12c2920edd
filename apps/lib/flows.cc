#include "apps/lib/flows.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

namespace sluice::apps {
namespace {

constexpr int kSocketBuffer = 4 << 20;  // bytes; the kernel caps it at its limit unless we may force it

sockaddr_in SocketAddress(const Endpoint& endpoint) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(endpoint.address);
  address.sin_port = htons(endpoint.port);
  return address;
}

std::string Errno(const std::string& what) { return what + ": " + std::strerror(errno); }

void EnlargeBuffers(int fd) {
  const int bytes = kSocketBuffer;
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) != 0) {
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
  }
  if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) != 0) {
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
  }
}

}  // namespace

// What sendmmsg and recvmmsg point at. Allocated once.
struct FlowSockets::Buffers {
  union Control {
    cmsghdr align;
    std::array<char, CMSG_SPACE(sizeof(in_pktinfo))> bytes;
  };
  sockaddr_in target{};
  std::array<mmsghdr, kFlowBatch> out{};
  std::array<iovec, kFlowBatch> out_data{};
  std::array<Control, kFlowBatch> control{};
  std::array<mmsghdr, kFlowBatch> in{};
  std::array<iovec, kFlowBatch> in_data{};
  std::array<std::array<std::byte, kMaxDatagram>, kFlowBatch> in_bytes{};
};

FlowSockets::FlowSockets(const FlowOptions& options, uint32_t ports)
    : options_(options), ports_(ports), buffers_(std::make_unique<Buffers>()) {
  Buffers& b = *buffers_;
  b.target = SocketAddress(options.target);
  for (size_t i = 0; i < kFlowBatch; ++i) {
    msghdr& out = b.out[i].msg_hdr;
    out.msg_name = &b.target;
    out.msg_namelen = sizeof(b.target);
    out.msg_iov = &b.out_data[i];
    out.msg_iovlen = 1;
    if (options.sources) {
      out.msg_control = &b.control[i];
      out.msg_controllen = sizeof(b.control[i].bytes);
      cmsghdr* info = CMSG_FIRSTHDR(&out);
      info->cmsg_level = IPPROTO_IP;
      info->cmsg_type = IP_PKTINFO;
      info->cmsg_len = CMSG_LEN(sizeof(in_pktinfo));
    }
    b.in_data[i] = {b.in_bytes[i].data(), b.in_bytes[i].size()};
    b.in[i].msg_hdr.msg_iov = &b.in_data[i];
    b.in[i].msg_hdr.msg_iovlen = 1;
  }
}

FlowSockets::FlowSockets(FlowSockets&& other) noexcept
    : options_(other.options_),
      ports_(other.ports_),
      sockets_(std::move(other.sockets_)),
      buffers_(std::move(other.buffers_)),
      last_error_(other.last_error_) {
  other.sockets_.clear();
}

FlowSockets::~FlowSockets() {
  for (const pollfd& socket : sockets_) close(socket.fd);
}

tl::expected<FlowSockets, std::string> FlowSockets::Open(const FlowOptions& options) {
  const uint32_t ports = std::min(options.flows, options.sources ? kPortsWithSources : kMaxPorts);
  const uint64_t most = uint64_t{ports} * (options.sources ? options.sources->hosts() : 1);
  if (options.flows == 0 || options.flows > most) {
    return tl::unexpected(std::to_string(options.flows) + " flows, allowed is 1 to " + std::to_string(most) +
                          (options.sources ? " from this network" : "; more need a network of source addresses"));
  }
  if (options.first_port + ports > 65536) {
    return tl::unexpected("the source ports from " + std::to_string(options.first_port) + " on do not suffice");
  }
  FlowSockets result(options, ports);
  for (uint32_t i = 0; i < ports; ++i) {
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return tl::unexpected(Errno("socket"));
    result.sockets_.push_back({fd, POLLIN, 0});
    EnlargeBuffers(fd);
    const Endpoint local{0, static_cast<uint16_t>(options.first_port + i)};
    const sockaddr_in address = SocketAddress(local);
    if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
      return tl::unexpected(Errno("source port " + std::to_string(local.port)));
    }
  }
  return result;
}

Endpoint FlowSockets::SourceOf(uint32_t flow) const {
  return {options_.sources ? options_.sources->address + 1 + flow / ports_ : 0,
          static_cast<uint16_t>(options_.first_port + flow % ports_)};
}

size_t FlowSockets::Send(std::span<const Outgoing> batch) {
  Buffers& b = *buffers_;
  size_t done = 0;
  const size_t wanted = std::min(batch.size(), kFlowBatch);
  while (done < wanted) {
    // A system call serves one socket: take the run of packets that leave by the same port.
    const uint32_t port = batch[done].flow % ports_;
    size_t run = 0;
    while (done + run < wanted && batch[done + run].flow % ports_ == port) {
      const Outgoing& packet = batch[done + run];
      b.out_data[run] = {const_cast<std::byte*>(packet.bytes.data()), packet.bytes.size()};
      if (options_.sources) {
        in_pktinfo info{};
        info.ipi_spec_dst.s_addr = htonl(SourceOf(packet.flow).address);
        std::memcpy(CMSG_DATA(CMSG_FIRSTHDR(&b.out[run].msg_hdr)), &info, sizeof(info));
      }
      ++run;
    }
    const int sent = sendmmsg(sockets_[port].fd, b.out.data(), static_cast<unsigned>(run), 0);
    if (sent < 0) {
      if (errno != EAGAIN && errno != EINTR && errno != ENOBUFS) last_error_ = errno;
      return done;
    }
    done += static_cast<size_t>(sent);
    if (static_cast<size_t>(sent) < run) return done;
  }
  return done;
}

int FlowSockets::ReceiveBatch(int fd) {
  Buffers& b = *buffers_;
  const int count = recvmmsg(fd, b.in.data(), kFlowBatch, MSG_DONTWAIT, nullptr);
  if (count < 0 && errno != EAGAIN && errno != EINTR) last_error_ = errno;
  return std::max(count, 0);
}

std::span<const std::byte> FlowSockets::datagram(int i) const {
  const auto at = static_cast<size_t>(i);
  return {buffers_->in_bytes[at].data(), buffers_->in[at].msg_len};
}

void FlowSockets::Wait(std::chrono::nanoseconds wait) {
  if (wait.count() <= 0) return;
  const timespec time{wait.count() / 1'000'000'000, wait.count() % 1'000'000'000};
  ppoll(sockets_.data(), sockets_.size(), &time, nullptr);
}

}  // namespace sluice::apps
