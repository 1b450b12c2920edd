// query.cc - see query.h.
#include "apps/sluicectl/query.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "iokernel/abi/control.h"

namespace sluice::ctl {
namespace {

class Socket {
 public:
  Socket() : fd_(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) {}
  ~Socket() {
    if (fd_ >= 0) close(fd_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  [[nodiscard]] int fd() const { return fd_; }

 private:
  int fd_;
};

tl::unexpected<std::string> NoDaemon(const std::string& path, int error) {
  std::string text = "no iokerneld answers at " + path + " (" + std::strerror(error) + "); ";
  if (error == EACCES) {
    text += "ask as root, or as a member of the socket's group";
  } else {
    text += "start one with: iokerneld --port PORT, or name its run directory with --run-dir or SLUICE_RUN_DIR";
  }
  return tl::make_unexpected(text);
}

tl::unexpected<std::string> Broken(int error) {
  return tl::make_unexpected(error == EAGAIN ? std::string("iokerneld does not answer within 5 s")
                                             : std::string("iokerneld went away: ") + std::strerror(error));
}

// Sends one message, with a file or without, and gathers the pieces of the answer.
tl::expected<std::string, std::string> Exchange(const std::string& run_dir, const void* message, size_t bytes,
                                                int file) {
  const std::string path = run_dir + "/control";
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return tl::make_unexpected(path + ": too long for a socket's name");
  std::memcpy(address.sun_path, path.c_str(), path.size());
  const Socket socket;
  const timeval patience{5, 0};
  setsockopt(socket.fd(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt(socket.fd(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  if (connect(socket.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return NoDaemon(path, errno);
  }
  iovec io{const_cast<void*>(message), bytes};
  msghdr header{};
  header.msg_iov = &io;
  header.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  if (file >= 0) {
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(rights), &file, sizeof file);
  }
  if (sendmsg(socket.fd(), &header, MSG_NOSIGNAL) < 0) return Broken(errno);

  std::string text;
  std::vector<std::byte> piece(abi::kMaxControlMessage);
  while (true) {
    const ssize_t got = recv(socket.fd(), piece.data(), piece.size(), 0);
    if (got <= 0) return Broken(got == 0 ? ECONNRESET : errno);
    abi::MessageHead head{};
    if (static_cast<size_t>(got) >= sizeof head) std::memcpy(&head, piece.data(), sizeof head);
    if (head.type != abi::ControlType::kQueryAnswer || static_cast<size_t>(got) < sizeof(abi::QueryAnswer)) {
      // Refused before it was read as a query: permission, version.
      abi::Answer answer{};
      std::memcpy(&answer, piece.data(), std::min(sizeof answer, static_cast<size_t>(got)));
      answer.sentence[sizeof answer.sentence - 1] = '\0';
      return tl::make_unexpected("iokerneld refuses: " + std::string(answer.sentence));
    }
    abi::QueryAnswer answer{};
    std::memcpy(&answer, piece.data(), sizeof answer);
    text.append(reinterpret_cast<const char*>(piece.data()) + sizeof answer, static_cast<size_t>(got) - sizeof answer);
    if (answer.code != abi::AnswerCode::kOk) return tl::make_unexpected("iokerneld refuses: " + text);
    if (answer.more == 0) return text;
  }
}

}  // namespace

std::string RunDirectory(const std::string& given) {
  if (!given.empty()) return given;
  const char* variable = std::getenv("SLUICE_RUN_DIR");
  return variable != nullptr && *variable != '\0' ? variable : "/run/sluice";
}

tl::expected<std::string, std::string> Ask(const std::string& run_dir, const std::string& what) {
  abi::Query query{};
  query.head = {abi::kMagic, abi::kAbiVersion, abi::ControlType::kQuery};
  what.copy(query.what, sizeof query.what - 1);
  return Exchange(run_dir, &query, sizeof query, -1);
}

tl::expected<std::string, std::string> Order(const std::string& run_dir, abi::CommandRequest command, int file) {
  command.head = {abi::kMagic, abi::kAbiVersion, abi::ControlType::kCommand};
  return Exchange(run_dir, &command, sizeof command, file);
}

}  // namespace sluice::ctl
