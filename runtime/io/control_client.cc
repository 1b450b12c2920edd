// control_client.cc - attach and thread report. The watcher is in control_watcher.cc.
#include "runtime/io/control_client.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace sluice::io {
namespace {

using Clock = std::chrono::steady_clock;

tl::unexpected<Refusal> Refuse(abi::AnswerCode code, std::string sentence) {
  return tl::unexpected(Refusal{code, std::move(sentence)});
}
tl::unexpected<Refusal> Refuse(std::string sentence) { return Refuse(abi::AnswerCode::kOk, std::move(sentence)); }

std::string Errno() { return std::strerror(errno); }

abi::MessageHead Head(abi::ControlType type) { return {abi::kMagic, abi::kAbiVersion, type}; }

// A sentence from the other side, which may have forgotten the final NUL.
template <size_t N>
std::string Sentence(const char (&text)[N]) {
  return std::string(text, strnlen(text, N));
}

// One message of the control socket, with the descriptor that came along, if any.
struct Received {
  std::vector<std::byte> bytes;
  UniqueFd fd;
};

void TakeDescriptors(const msghdr& message, Received* received) {
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(const_cast<msghdr*>(&message), c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
      UniqueFd owned(fd);
      if (!received->fd) received->fd = std::move(owned);
    }
  }
}

tl::expected<Received, Refusal> ReceiveMessage(int socket, pid_t pid, std::chrono::milliseconds patience) {
  const std::string who = "iokerneld (pid " + std::to_string(pid) + ")";
  const auto deadline = Clock::now() + patience;
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    pollfd waiting{socket, POLLIN, 0};
    const int ready = poll(&waiting, 1, static_cast<int>(std::max<int64_t>(0, left.count())));
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return Refuse("waiting for " + who + " failed: " + Errno());
    if (ready == 0) return Refuse(who + " did not answer within " + std::to_string(patience.count()) + " ms");
    break;
  }
  Received received;
  received.bytes.resize(abi::kMaxControlMessage);
  alignas(cmsghdr) char control[CMSG_SPACE(4 * sizeof(int))];
  iovec part{received.bytes.data(), received.bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  const ssize_t size = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  if (size <= 0) return Refuse(who + " closed the connection without an answer");
  received.bytes.resize(static_cast<size_t>(size));
  TakeDescriptors(message, &received);
  return received;
}

// The answer, if the message is one: its length, magic, version and type are right.
template <class Message>
tl::expected<Message, Refusal> Expect(const Received& received, abi::ControlType type, pid_t pid) {
  const std::string who = "iokerneld (pid " + std::to_string(pid) + ")";
  abi::MessageHead head{};
  if (received.bytes.size() >= sizeof(head)) std::memcpy(&head, received.bytes.data(), sizeof(head));
  if (head.magic != abi::kMagic) return Refuse("what listens as " + who + " does not speak Sluice's protocol");
  if (head.version != abi::kAbiVersion) {
    return Refuse(abi::AnswerCode::kVersion, who + " speaks ABI version " + std::to_string(head.version) +
                                                 ", this program " + std::to_string(abi::kAbiVersion) +
                                                 ": build both from the same release");
  }
  if (head.type != type || received.bytes.size() != sizeof(Message)) {
    return Refuse(who + " answered with message type " + std::to_string(static_cast<uint32_t>(head.type)) + " of " +
                  std::to_string(received.bytes.size()) + " bytes; expected type " +
                  std::to_string(static_cast<uint32_t>(type)) + " of " + std::to_string(sizeof(Message)));
  }
  Message message;
  std::memcpy(&message, received.bytes.data(), sizeof(message));
  return message;
}

template <class Message>
tl::expected<void, Refusal> CheckCode(const Message& answer) {
  if (answer.code == abi::AnswerCode::kOk) return {};
  std::string sentence = Sentence(answer.sentence);
  if (sentence.empty()) sentence = "code " + std::to_string(static_cast<uint32_t>(answer.code)) + ", no reason given";
  return Refuse(answer.code, std::move(sentence));
}

std::string NobodyListens(const std::string& path, const std::string& run_dir) {
  const int error = errno;
  std::string sentence = "no iokerneld can be reached at " + path + ": " + std::strerror(error);
  if (error == EACCES || error == EPERM) {
    return sentence + "; the socket's owner or group must allow this user, or run as root";
  }
  return sentence + "; start one with `iokerneld --run-dir " + run_dir +
         " --port af_xdp:IFACE`, or name the directory of a running one with --sluice-run-dir or SLUICE_RUN_DIR";
}

tl::expected<UniqueFd, Refusal> Connect(const std::string& run_dir) {
  const std::string path = run_dir + "/control";
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return Refuse("the run directory's name is too long for a socket: " + path + " (at most " +
                  std::to_string(sizeof(address.sun_path) - 1) + " bytes)");
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!socket) return Refuse("no Unix socket can be made: " + Errno());
  if (connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return Refuse(NobodyListens(path, run_dir));
  }
  return socket;
}

pid_t PeerPid(int socket) {
  ucred peer{};
  socklen_t size = sizeof(peer);
  return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 ? peer.pid : 0;
}

bool SendMessage(int socket, const void* bytes, size_t size) {
  ssize_t sent;
  do {
    sent = send(socket, bytes, size, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent == static_cast<ssize_t>(size);
}

}  // namespace

std::string RunDirectory(const std::string& configured) {
  if (!configured.empty()) return configured;
  const char* from_environment = std::getenv("SLUICE_RUN_DIR");
  return from_environment != nullptr && *from_environment != '\0' ? from_environment : "/run/sluice";
}

tl::expected<ControlClient, Refusal> ControlClient::Attach(const std::string& run_dir, abi::AttachRequest request,
                                                           std::chrono::milliseconds deadline) {
  auto socket = Connect(run_dir);
  if (!socket) return tl::unexpected(socket.error());
  ControlClient client;
  client.socket_ = std::move(*socket);
  client.deadline_ = deadline;
  client.iokernel_pid_ = PeerPid(client.socket_.get());

  request.head = Head(abi::ControlType::kAttach);
  if (!SendMessage(client.socket_.get(), &request, sizeof(request))) {
    return Refuse("the attach request could not be sent: " + Errno());
  }
  const auto received = ReceiveMessage(client.socket_.get(), client.iokernel_pid_, deadline);
  if (!received) return tl::unexpected(received.error());
  const auto answer = Expect<abi::AttachAnswer>(*received, abi::ControlType::kAttachAnswer, client.iokernel_pid_);
  if (!answer) return tl::unexpected(answer.error());
  if (auto granted = CheckCode(*answer); !granted) return tl::unexpected(granted.error());
  if (!received->fd) return Refuse("iokerneld's answer came without the region's file");
  auto region = MappedRegion::Map(received->fd.get(), answer->region_bytes, answer->epoch);
  if (!region) return Refuse(region.error() + "; iokerneld and this program are not of the same build");
  client.region_ = std::move(*region);
  client.epoch_ = answer->epoch;
  return client;
}

tl::expected<void, Refusal> ControlClient::ReportThreads(std::span<const uint32_t> thread_ids) {
  abi::ThreadsReady head{};
  head.head = Head(abi::ControlType::kThreadsReady);
  head.epoch = epoch_;
  head.count = static_cast<uint32_t>(thread_ids.size());
  std::vector<std::byte> message(sizeof(head) + thread_ids.size_bytes());
  std::memcpy(message.data(), &head, sizeof(head));
  std::memcpy(message.data() + sizeof(head), thread_ids.data(), thread_ids.size_bytes());
  if (!SendMessage(socket_.get(), message.data(), message.size())) {
    return Refuse("the thread ids could not be sent: " + Errno());
  }
  const auto received = ReceiveMessage(socket_.get(), iokernel_pid_, deadline_);
  if (!received) return tl::unexpected(received.error());
  const auto answer = Expect<abi::Answer>(*received, abi::ControlType::kAnswer, iokernel_pid_);
  if (!answer) return tl::unexpected(answer.error());
  return CheckCode(*answer);
}

}  // namespace sluice::io
