// session.cc - see session.h.
#include "iokernel/control/session.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "iokernel/abi/control.h"

namespace sluice {

Session::Received Session::Receive(std::span<const std::byte>* message) {
  inbox_.resize(abi::kMaxControlMessage);
  iovec io{inbox_.data(), inbox_.size()};
  msghdr header{};
  header.msg_iov = &io;
  header.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};  // the kernel closes what does not fit
  header.msg_control = control;
  header.msg_controllen = CMSG_LEN(sizeof(int));  // exactly one; CMSG_SPACE has room for two
  DropPassed();
  const ssize_t got = recvmsg(socket_.get(), &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (got < 0) return errno == EAGAIN || errno == EINTR ? Received::kNothing : Received::kGone;
  if (const cmsghdr* rights = CMSG_FIRSTHDR(&header);
      rights != nullptr && rights->cmsg_level == SOL_SOCKET && rights->cmsg_type == SCM_RIGHTS) {
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(rights), sizeof fd);
    passed_ = FileDescriptor(fd);
  }
  if (got == 0) return Received::kGone;
  if ((header.msg_flags & MSG_TRUNC) != 0) return Received::kTooLong;
  *message = {inbox_.data(), static_cast<size_t>(got)};
  return Received::kMessage;
}

void Session::Send(std::vector<std::byte> message, int fd) { outbox_.push_back({std::move(message), fd}); }

Session::Sent Session::Flush() {
  while (!outbox_.empty()) {
    Outgoing& next = outbox_.front();
    iovec io{next.bytes.data(), next.bytes.size()};
    msghdr header{};
    header.msg_iov = &io;
    header.msg_iovlen = 1;
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    if (next.fd >= 0) {
      header.msg_control = control;
      header.msg_controllen = sizeof control;
      cmsghdr* rights = CMSG_FIRSTHDR(&header);
      rights->cmsg_level = SOL_SOCKET;
      rights->cmsg_type = SCM_RIGHTS;
      rights->cmsg_len = CMSG_LEN(sizeof(int));
      std::memcpy(CMSG_DATA(rights), &next.fd, sizeof(int));
    }
    if (sendmsg(socket_.get(), &header, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
      if (errno == EINTR) continue;
      return errno == EAGAIN ? Sent::kSome : Sent::kGone;
    }
    outbox_.pop_front();
  }
  return Sent::kAll;
}

void Session::Drain() {
  constexpr int kMost = 1024;  // more do not fit into a socket's buffer
  shutdown(socket_.get(), SHUT_RD);
  std::byte unread[64];
  for (int i = 0; i < kMost; ++i) {
    if (recv(socket_.get(), unread, sizeof unread, MSG_DONTWAIT) <= 0) return;
  }
}

}  // namespace sluice
