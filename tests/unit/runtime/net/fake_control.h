// fake_control.h - an iokerneld that is only its control socket, in a directory of its own: it answers as a test says.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>

#include "iokernel/abi/control.h"
#include "runtime/io/unique_fd.h"

namespace sluice {

// A directory that goes with its owner.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    char name[] = "/tmp/sluice-test-XXXXXX";
    path_ = mkdtemp(name);
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Of the socket in a run directory with a short name.
inline sockaddr_un ControlAddress(const std::string& run_dir) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  (run_dir + "/control").copy(address.sun_path, sizeof(address.sun_path) - 1);
  return address;
}

class FakeControl {
 public:
  // `serve(socket)` runs on a thread of its own with the first connection, which is closed when it returns.
  explicit FakeControl(std::function<void(int)> serve)
      : listener_(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) {
    const sockaddr_un address = ControlAddress(run_dir());
    EXPECT_EQ(bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(listen(listener_.get(), 1), 0);
    thread_ = std::thread([this, serve = std::move(serve)] {
      const io::UniqueFd connection(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (connection) serve(connection.get());
    });
  }
  ~FakeControl() { Close(); }
  void Close() {
    shutdown(listener_.get(), SHUT_RDWR);  // ends an accept that nobody came to
    Join();
  }
  void Join() {
    if (thread_.joinable()) thread_.join();
  }
  [[nodiscard]] const std::string& run_dir() const { return directory_.path(); }

  // ---- for `serve` ----
  template <class Message>
  static Message Receive(int socket) {
    Message message{};
    EXPECT_EQ(recv(socket, &message, sizeof(message), MSG_TRUNC), static_cast<ssize_t>(sizeof(message)));
    return message;
  }
  // Sends `bytes` of `message` with `fd`, if that is not -1.
  static void Send(int socket, const void* message, size_t bytes, int fd = -1) {
    iovec part{const_cast<void*>(message), bytes};
    msghdr head{};
    head.msg_iov = &part;
    head.msg_iovlen = 1;
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    if (fd >= 0) {
      head.msg_control = control;
      head.msg_controllen = sizeof(control);
      cmsghdr* c = CMSG_FIRSTHDR(&head);
      c->cmsg_level = SOL_SOCKET;
      c->cmsg_type = SCM_RIGHTS;
      c->cmsg_len = CMSG_LEN(sizeof(int));
      std::memcpy(CMSG_DATA(c), &fd, sizeof(int));
    }
    EXPECT_EQ(sendmsg(socket, &head, MSG_NOSIGNAL), static_cast<ssize_t>(bytes));
  }
  // Waits until the app closes its end.
  static void AwaitHangUp(int socket) {
    char byte;
    while (recv(socket, &byte, 1, 0) > 0) {
    }
  }

 private:
  TemporaryDirectory directory_;
  io::UniqueFd listener_;
  std::thread thread_;
};

// A region's file as iokerneld makes it, with room for a test to spoil it.
struct FakeRegion {
  explicit FakeRegion(abi::Geometry geometry = {1, 64, 64, 64, 64, 2048}, uint64_t epoch = 7) {
    const abi::RegionLayout layout(geometry);
    bytes = layout.bytes();
    fd = io::UniqueFd(memfd_create("fake-region", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    EXPECT_EQ(ftruncate(fd.get(), static_cast<off_t>(bytes)), 0);
    header.magic = abi::kMagic;
    header.version = abi::kAbiVersion;
    header.header_bytes = sizeof(abi::RegionHeader);
    header.epoch = epoch;
    header.bytes = bytes;
    header.tsc_hz = 2'000'000'000;
    header.geometry = geometry;
    header.address = 0x0a000002;
    header.prefix_bits = 24;
    header.mtu = 1500;
  }
  // Writes the header and seals the file.
  int Finish(int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) {
    EXPECT_EQ(pwrite(fd.get(), &header, sizeof(header), 0), static_cast<ssize_t>(sizeof(header)));
    EXPECT_EQ(fcntl(fd.get(), F_ADD_SEALS, seals), 0);
    return fd.get();
  }

  abi::RegionHeader header{};
  uint64_t bytes = 0;
  io::UniqueFd fd;
};

inline abi::AttachAnswer GoodAnswer(uint64_t region_bytes, uint64_t epoch = 7) {
  abi::AttachAnswer answer{};
  answer.head = {abi::kMagic, abi::kAbiVersion, abi::ControlType::kAttachAnswer};
  answer.region_bytes = region_bytes;
  answer.epoch = epoch;
  return answer;
}

inline abi::Answer OkAnswer() {
  abi::Answer answer{};
  answer.head = {abi::kMagic, abi::kAbiVersion, abi::ControlType::kAnswer};
  return answer;
}

}  // namespace sluice
