// server.cc - the control thread's loop: connections, deadlines, the end.
#include "iokernel/control/server.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "iokernel/control/log.h"
#include "iokernel/control/server_impl.h"

namespace sluice {

using abi::AnswerCode;

FileDescriptor OpenSpareDescriptor() { return FileDescriptor(open("/dev/null", O_RDONLY | O_CLOEXEC)); }

// --- the loop -----------------------------------------------------------------------------------------

void Server::Impl::Run() {
  while (!stopping) Turn(Timeout());
  Shutdown();
}

int Server::Impl::Timeout() const {
  if (tenants.hurried()) return 1;
  constexpr int kNoticesMs = 10;  // the loop makes no system call to tell us that an app has failed
  int timeout = tenants.empty() ? 1000 : kNoticesMs;
  const int64_t now = NowMs();
  for (const auto& [serial, session] : sessions) {
    for (const int64_t deadline : {session.deadline_ms, session.send_deadline_ms}) {
      if (deadline != 0) timeout = static_cast<int>(std::clamp<int64_t>(deadline - now, 0, timeout));
    }
  }
  return timeout;
}

void Server::Impl::Turn(int longest_ms) {
  constexpr int kMaxEvents = 64;
  epoll_event events[kMaxEvents];
  const int count = epoll_wait(epoll.get(), events, kMaxEvents, longest_ms);
  for (int i = 0; i < count; ++i) {
    const uint64_t tag = events[i].data.u64;
    const uint64_t serial = tag & ((uint64_t{1} << kSourceShift) - 1);
    switch (static_cast<Source>(tag >> kSourceShift)) {
      case Source::kListen:
        OnConnect();
        break;
      case Source::kStop:
        stopping = true;
        break;
      case Source::kWorkshop:
        break;  // looked at below
      case Source::kSession:
        OnSession(serial, events[i].events);
        break;
      case Source::kPeer:
        Close(serial);
        break;
    }
  }
  while (const auto event = tenants.Next()) OnTenant(*event);
  AttachWaiting();
  OnDeadlines();
  LookAtLink();
}

// A port whose link is down goes on without a packet and without an error: somebody has to say why.
void Server::Impl::LookAtLink() {
  constexpr int64_t kEveryMs = 1000;
  const int64_t now = NowMs();
  if (options.port == nullptr || now - link_seen_ms < kEveryMs) return;
  link_seen_ms = now;
  if (std::exchange(link_up, options.port->link_up()) == link_up) return;
  const std::string& name = options.port->info().name;
  if (link_up) return LogInfo("the link of " + name + " is up again");
  LogWarning("the link of " + name + " is down, or the interface has gone: no packet comes or goes");
}

void Server::Impl::Shutdown() {
  // Closing a socket is how an app learns that it is on its own.
  while (!sessions.empty()) Close(sessions.begin()->first);
  constexpr int kPatienceMs = 2000;
  const int64_t end = NowMs() + kPatienceMs;
  // While the loop still runs: a recording ends with its last words.
  (void)recording.Stop();
  while ((!tenants.empty() || recording.status().running) && NowMs() < end) {
    while (const auto event = tenants.Next()) OnTenant(*event);
    pollfd done{tenants.workshop_fd(), POLLIN, 0};
    poll(&done, 1, 1);
  }
}

void Server::Impl::OnDeadlines() {
  const int64_t now = NowMs();
  std::vector<uint64_t> deaf, silent;
  for (const auto& [serial, session] : sessions) {
    if (session.stage == SessionStage::kWaiting) continue;  // AttachWaiting knows what to tell it
    if (session.send_deadline_ms != 0 && session.send_deadline_ms <= now) {
      deaf.push_back(serial);
    } else if (session.deadline_ms != 0 && session.deadline_ms <= now) {
      silent.push_back(serial);
    }
  }
  for (const uint64_t serial : deaf) Close(serial);
  for (const uint64_t serial : silent) {
    Refuse(serial, sessions.at(serial),
           {AnswerCode::kDeadline, "iokerneld has waited long enough for your next message"});
  }
}

// --- connections --------------------------------------------------------------------------------------

void Server::Impl::OnConnect() {
  if (!spare.valid()) spare = OpenSpareDescriptor();
  constexpr int kAtOnce = 16;
  for (int i = 0; i < kAtOnce; ++i) {
    FileDescriptor socket(accept4(listen_fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!socket.valid()) {
      if (errno == EMFILE || errno == ENFILE) TurnAway();
      return;
    }
    if (sessions.size() >= options.max_connections) {
      // Whoever has been silent longest makes room.
      const auto silent = std::find_if(sessions.begin(), sessions.end(), [](const auto& entry) {
        return entry.second.stage == SessionStage::kOpened || entry.second.stage == SessionStage::kClosing;
      });
      if (silent == sessions.end()) continue;
      Close(silent->first);
    }
    struct stat listening {};
    fstat(listen_fd, &listening);
    auto peer = IdentifyPeer(socket.get(), listening.st_gid);
    const uint64_t serial = next_serial++;
    const int fd = socket.get();
    const bool allowed = peer.has_value();
    const auto placed = sessions.emplace(serial, Session(std::move(socket), allowed ? std::move(*peer) : Peer{}));
    Session& session = placed.first->second;
    session.deadline_ms = NowMs() + options.first_message_ms;
    if (!Watch(fd, EPOLLIN, Tag(Source::kSession, serial))) {
      Close(serial);
    } else if (!allowed) {
      Refuse(serial, session, {AnswerCode::kPermission, peer.error()});
    }
  }
}

// No descriptor is left. Whoever waits would keep the listening socket readable for ever, and us awake.
void Server::Impl::TurnAway() {
  spare.Close();
  const FileDescriptor refused(accept4(listen_fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  LogWarning("a connection was turned away: no file descriptor is left (ulimit -n)");
}

void Server::Impl::OnSession(uint64_t serial, uint32_t events) {
  Session* session = Find(serial);
  if (session == nullptr) return;
  if ((events & EPOLLOUT) != 0 && !Flush(serial, *session)) return;
  if ((events & ~EPOLLOUT) == 0) return;
  std::span<const std::byte> message;
  switch (session->Receive(&message)) {
    case Session::Received::kNothing:
      return;
    case Session::Received::kGone:
      return Close(serial);
    case Session::Received::kTooLong:
      return Refuse(
          serial, *session,
          {AnswerCode::kMalformed, "a message longer than " + std::to_string(abi::kMaxControlMessage) + " bytes"});
    case Session::Received::kMessage:
      return OnMessage(serial, *session, message);
  }
}

void Server::Impl::Close(uint64_t serial) {
  Session* session = Find(serial);
  if (session == nullptr) return;
  if (session->app != kNoApp) tenants.Leave(session->app);
  session->Drain();
  waiting.erase(serial);
  sessions.erase(serial);  // closes its descriptors, and so ends their watches
}

// False if the session has gone.
bool Server::Impl::Flush(uint64_t serial, Session& session) {
  const Session::Sent sent = session.Flush();
  if (sent == Session::Sent::kGone || (sent == Session::Sent::kAll && session.stage == SessionStage::kClosing)) {
    Close(serial);
    return false;
  }
  const bool owed = sent == Session::Sent::kSome;
  if (owed != (session.send_deadline_ms != 0)) {
    epoll_event event{};
    event.events = EPOLLIN | (owed ? EPOLLOUT : 0u);
    event.data.u64 = Tag(Source::kSession, serial);
    epoll_ctl(epoll.get(), EPOLL_CTL_MOD, session.fd(), &event);
  }
  session.send_deadline_ms = owed ? NowMs() + options.send_ms : 0;  // anew with each piece that was taken
  return true;
}

void Server::Impl::SendAndGo(uint64_t serial, Session& session) {
  if (session.app != kNoApp) tenants.Leave(std::exchange(session.app, kNoApp));
  session.stage = SessionStage::kClosing;
  session.deadline_ms = 0;
  Flush(serial, session);
}

Server::Server(ServerOptions options, int listen_fd, int stop_fd, DataplaneGateway& dataplane, GrantBackend& backend)
    : impl_(std::make_unique<Impl>(std::move(options), listen_fd, stop_fd, dataplane, backend)) {}
Server::~Server() = default;

void Server::Run() { impl_->Run(); }

}  // namespace sluice
