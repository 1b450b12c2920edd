// client.h - an app's end of the control socket, for tests: says exactly what it is told to.
#pragma once

#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "iokernel/abi/control.h"
#include "iokernel/control/file_descriptor.h"

namespace sluice {

inline abi::AttachRequest AttachAs(const std::string& name) {
  abi::AttachRequest request{};
  request.head = {abi::kMagic, abi::kAbiVersion, abi::ControlType::kAttach};
  name.copy(request.name, sizeof request.name - 1);
  request.kthreads = 1;
  return request;
}

class Client {
 public:
  explicit Client(const std::string& run_dir) : socket_(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) {
    const timeval patience{20, 0};
    setsockopt(fd(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    path_ = run_dir + "/control";
  }
  bool Connect() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, sizeof address.sun_path - 1);
    return connect(fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }
  [[nodiscard]] int fd() const { return socket_.get(); }
  void Close() { socket_.Close(); }

  bool Send(const void* data, size_t bytes) { return send(fd(), data, bytes, MSG_NOSIGNAL) >= 0; }
  template <class T>
  bool Send(const T& message) {
    return Send(&message, sizeof message);
  }
  bool SendThreads(uint64_t epoch, const std::vector<uint32_t>& tids) {
    abi::ThreadsReady ready{};
    ready.head = {abi::kMagic, abi::kAbiVersion, abi::ControlType::kThreadsReady};
    ready.epoch = epoch;
    ready.count = static_cast<uint32_t>(tids.size());
    std::vector<std::byte> bytes(sizeof ready + tids.size() * sizeof(uint32_t));
    std::memcpy(bytes.data(), &ready, sizeof ready);
    if (!tids.empty()) std::memcpy(bytes.data() + sizeof ready, tids.data(), tids.size() * sizeof(uint32_t));
    return Send(bytes.data(), bytes.size());
  }

  // The next message as a T; nothing at the end of the connection, or if it is no T.
  template <class T>
  std::optional<T> Receive() {
    std::vector<std::byte> bytes(abi::kMaxControlMessage);
    iovec io{bytes.data(), bytes.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr header{};
    header.msg_iov = &io;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    const ssize_t got = recvmsg(fd(), &header, MSG_CMSG_CLOEXEC);
    if (const cmsghdr* rights = CMSG_FIRSTHDR(&header); got > 0 && rights != nullptr) {
      int received = -1;
      std::memcpy(&received, CMSG_DATA(rights), sizeof received);
      region = FileDescriptor(received);
    }
    if (got != sizeof(T)) return std::nullopt;
    T message;
    std::memcpy(&message, bytes.data(), sizeof message);
    return message;
  }
  // The whole answer to a query; empty if the connection ends before it does.
  std::string ReceiveText() {
    std::string text;
    std::vector<std::byte> bytes(abi::kMaxControlMessage);
    while (true) {
      const ssize_t got = recv(fd(), bytes.data(), bytes.size(), 0);
      if (got < static_cast<ssize_t>(sizeof(abi::QueryAnswer))) return {};
      abi::QueryAnswer answer;
      std::memcpy(&answer, bytes.data(), sizeof answer);
      text.append(reinterpret_cast<const char*>(bytes.data()) + sizeof answer,
                  static_cast<size_t>(got) - sizeof answer);
      if (answer.more == 0) return text;
    }
  }
  // True once the other side has closed the connection.
  bool AtEnd() {
    char byte;
    return recv(fd(), &byte, 1, 0) == 0;
  }

  // Attaches in full, with this thread as its only kthread; the answer to the first refused step, or to the last.
  struct Attached {
    abi::AnswerCode code = abi::AnswerCode::kMalformed;
    std::string sentence;
    uint64_t epoch = 0;
  };
  Attached Attach(const abi::AttachRequest& request) {
    Attached attached;
    Send(request);
    const auto answer = Receive<abi::AttachAnswer>();
    if (!answer) return {abi::AnswerCode::kMalformed, "no answer", 0};
    attached = {answer->code, answer->sentence, answer->epoch};
    if (answer->code != abi::AnswerCode::kOk) return attached;
    SendThreads(answer->epoch, {ThreadId()});
    const auto last = Receive<abi::Answer>();
    if (!last) return {abi::AnswerCode::kMalformed, "no answer to the threads", 0};
    attached.code = last->code;
    attached.sentence = last->sentence;
    return attached;
  }
  static uint32_t ThreadId() { return static_cast<uint32_t>(syscall(SYS_gettid)); }

  FileDescriptor region;  // as it came with the answer

 private:
  FileDescriptor socket_;
  std::string path_;
};

}  // namespace sluice
