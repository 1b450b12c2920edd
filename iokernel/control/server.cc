// server.cc - see server.h.
#include "iokernel/control/server.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <map>

#include "iokernel/abi/check.h"
#include "iokernel/control/admission.h"
#include "iokernel/control/log.h"
#include "iokernel/control/report.h"
#include "iokernel/control/session.h"
#include "iokernel/control/tenants.h"
#include "iokernel/control/units.h"

namespace sluice {
namespace {

using abi::AnswerCode;

int64_t NowMs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

FileDescriptor OpenSpare() { return FileDescriptor(open("/dev/null", O_RDONLY | O_CLOEXEC)); }

// What an epoll event is about; a session's serial number is in the lower bits.
enum class Source : uint64_t { kListen = 1, kStop, kWorkshop, kSession, kPeer };
constexpr int kSourceShift = 56;
constexpr uint64_t Tag(Source source, uint64_t serial = 0) {
  return static_cast<uint64_t>(source) << kSourceShift | serial;
}

}  // namespace

struct Server::Impl {
  Impl(ServerOptions given, int listen_fd_given, int stop_fd_given, DataplaneGateway& gateway, GrantBackend& grants)
      : options(std::move(given)),
        listen_fd(listen_fd_given),
        stop_fd(stop_fd_given),
        dataplane(gateway),
        backend(grants),
        admission(options.config, options.mtu, options.tsc_hz),
        tenants(gateway, grants),
        epoll(epoll_create1(EPOLL_CLOEXEC)) {
    SLUICE_CHECK(epoll.valid(), "no file descriptor is left for epoll");
    Watch(listen_fd, EPOLLIN, Tag(Source::kListen));
    Watch(stop_fd, EPOLLIN, Tag(Source::kStop));
    Watch(tenants.workshop_fd(), EPOLLIN, Tag(Source::kWorkshop));
  }

  void Run();
  void Turn(int longest_ms);
  void Shutdown();

  // Events.
  void OnConnect();
  void TurnAway();
  void OnSession(uint64_t serial, uint32_t events);
  void OnMessage(uint64_t serial, Session& session, std::span<const std::byte> bytes);
  void OnTenant(const Tenants::Event& event);
  void OnDeadlines();

  // Requests.
  void Attach(uint64_t serial, Session& session, const AttachWish& wish);
  void Threads(uint64_t serial, Session& session, ThreadsWish wish);
  void Query(uint64_t serial, Session& session, const QueryWish& wish);

  // Answers.
  void Refuse(uint64_t serial, Session& session, const Refusal& refusal);
  void SendAndGo(uint64_t serial, Session& session);
  bool Flush(uint64_t serial, Session& session);
  void Close(uint64_t serial);

  bool Watch(int fd, uint32_t events, uint64_t tag) const {
    epoll_event event{};
    event.events = events;
    event.data.u64 = tag;
    return epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &event) == 0;
  }
  [[nodiscard]] int Timeout() const;
  Session* Find(uint64_t serial) {
    const auto found = sessions.find(serial);
    return found == sessions.end() ? nullptr : &found->second;
  }

  ServerOptions options;
  int listen_fd;
  int stop_fd;
  DataplaneGateway& dataplane;
  GrantBackend& backend;
  Admission admission;
  Tenants tenants;
  FileDescriptor epoll;
  FileDescriptor spare = OpenSpare();    // given up to turn somebody away when there is no other
  std::map<uint64_t, Session> sessions;  // by serial number, so the oldest first
  uint64_t next_serial = 1;
  int64_t started_ms = NowMs();
  bool stopping = false;
};

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
  OnDeadlines();
}

void Server::Impl::Shutdown() {
  // Closing a socket is how an app learns that it is on its own.
  while (!sessions.empty()) Close(sessions.begin()->first);
  constexpr int kPatienceMs = 2000;
  const int64_t end = NowMs() + kPatienceMs;
  while (!tenants.empty() && NowMs() < end) {
    while (const auto event = tenants.Next()) OnTenant(*event);
    pollfd done{tenants.workshop_fd(), POLLIN, 0};
    poll(&done, 1, 1);
  }
}

void Server::Impl::OnDeadlines() {
  const int64_t now = NowMs();
  std::vector<uint64_t> deaf, silent;
  for (const auto& [serial, session] : sessions) {
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
  if (!spare.valid()) spare = OpenSpare();
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

void Server::Impl::OnMessage(uint64_t serial, Session& session, std::span<const std::byte> bytes) {
  if (session.stage == SessionStage::kClosing) return;
  auto message = ParseMessage(bytes);
  if (!message) return Refuse(serial, session, message.error());
  if (session.stage == SessionStage::kOpened) {
    if (const auto* attach = std::get_if<AttachWish>(&*message)) return Attach(serial, session, *attach);
    if (const auto* query = std::get_if<QueryWish>(&*message)) return Query(serial, session, *query);
  } else if (session.stage == SessionStage::kThreads) {
    if (auto* threads = std::get_if<ThreadsWish>(&*message)) return Threads(serial, session, std::move(*threads));
  }
  Refuse(serial, session, {AnswerCode::kMalformed, "this message is not due now"});
}

void Server::Impl::Close(uint64_t serial) {
  Session* session = Find(serial);
  if (session == nullptr) return;
  if (session->app != kNoApp) tenants.Leave(session->app);
  session->Drain();
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

void Server::Impl::Refuse(uint64_t serial, Session& session, const Refusal& refusal) {
  const bool attaching = session.stage == SessionStage::kOpened || session.stage == SessionStage::kMaking;
  session.Send(attaching ? MakeAttachAnswer(refusal) : MakeAnswer(refusal.code, refusal.sentence));
  SendAndGo(serial, session);
}

// --- requests -----------------------------------------------------------------------------------------

void Server::Impl::Attach(uint64_t serial, Session& session, const AttachWish& wish) {
  auto params = admission.Admit(wish, tenants.Holders());
  if (!params) {
    LogInfo("refused pid " + std::to_string(session.peer().pid) + ": " + params.error().sentence);
    return Refuse(serial, session, params.error());
  }
  if (!Watch(session.peer().pidfd.get(), EPOLLIN, Tag(Source::kPeer, serial))) {
    return Refuse(serial, session, {AnswerCode::kNoMemory, "iokerneld cannot watch one process more"});
  }
  session.app = tenants.Add(std::move(*params), session.peer().pid, session.peer().command, serial);
  if (session.app == kNoApp) {
    return Refuse(serial, session,
                  {AnswerCode::kTooManyApps, std::to_string(kMaxApps) + " apps are attached; that is the most"});
  }
  session.stage = SessionStage::kMaking;
  session.deadline_ms = 0;  // it waits for us
}

void Server::Impl::Threads(uint64_t serial, Session& session, ThreadsWish wish) {
  const Tenant& tenant = tenants.at(session.app);
  if (wish.epoch != tenant.params.epoch) {
    return Refuse(serial, session, {AnswerCode::kMalformed, "threads for another attach than this one"});
  }
  if (wish.tids.size() != tenant.params.geometry.kthreads) {
    return Refuse(serial, session,
                  {AnswerCode::kMalformed, std::to_string(wish.tids.size()) + " threads came, the region is for " +
                                               std::to_string(tenant.params.geometry.kthreads)});
  }
  uint32_t foreign = 0;
  if (!OwnsThreads(session.peer(), wish.tids, &foreign)) {
    return Refuse(serial, session,
                  {AnswerCode::kForeignThread,
                   "thread " + std::to_string(foreign) + " is none of pid " + std::to_string(session.peer().pid)});
  }
  if (const Tenant* other = tenants.EnrolledBy(wish.tids)) {
    return Refuse(serial, session,
                  {AnswerCode::kForeignThread, "a thread of these serves " + other->params.name + " already"});
  }
  session.stage = SessionStage::kAttaching;
  session.deadline_ms = 0;
  tenants.Attach(session.app, std::move(wish.tids));
}

void Server::Impl::Query(uint64_t serial, Session& session, const QueryWish& wish) {
  const auto text = AnswerQuery(wish.what, {options, dataplane, backend, tenants.List(), NowMs() - started_ms});
  if (!text) {
    session.Send(MakeQueryAnswer(text.error().code, text.error().sentence, false));
  } else {
    std::string_view rest = *text;
    do {
      const std::string_view piece = rest.substr(0, kQueryPiece);
      rest.remove_prefix(piece.size());
      session.Send(MakeQueryAnswer(AnswerCode::kOk, piece, !rest.empty()));
    } while (!rest.empty());
  }
  SendAndGo(serial, session);
}

void Server::Impl::OnTenant(const Tenants::Event& event) {
  using Kind = Tenants::Event::Kind;
  if (event.kind == Kind::kGone) return LogInfo(event.text + " has gone");
  Session* session = Find(event.session);
  if (session == nullptr) return;
  if (event.kind == Kind::kNotMade) {
    session->app = kNoApp;
    LogWarning("no memory for pid " + std::to_string(session->peer().pid) + ": " + event.text);
    return Refuse(event.session, *session, {AnswerCode::kNoMemory, event.text});
  }
  const Tenant& tenant = tenants.at(event.id);
  const std::string who = tenant.params.name + ", pid " + std::to_string(tenant.pid) + " (" + tenant.command + ")";
  switch (event.kind) {
    case Kind::kMade:
      session->stage = SessionStage::kThreads;
      session->deadline_ms = NowMs() + options.threads_ms;
      session->Send(MakeAttachAnswer(tenant.app->region_bytes(), tenant.params.epoch), tenant.app->region_fd());
      Flush(event.session, *session);
      return;
    case Kind::kAttached:
      session->stage = SessionStage::kAttached;
      LogInfo("attached " + who + ": " + FormatIpv4(tenant.params.address) + ", " + std::to_string(tenant.tids.size()) +
              " kthreads, " + std::to_string(tenant.params.guaranteed) + " guaranteed, " + tenant.params.steering);
      session->Send(MakeAnswer(AnswerCode::kOk, {}));
      Flush(event.session, *session);
      return;
    case Kind::kUnresponsive:
      LogWarning("detached " + who + ": it did not give a core back in time");
      return Close(event.session);
    case Kind::kFaulted:
      LogWarning("detached " + who + ": its memory could not be accessed");
      return Close(event.session);
    default:
      return;
  }
}

Server::Server(ServerOptions options, int listen_fd, int stop_fd, DataplaneGateway& dataplane, GrantBackend& backend)
    : impl_(std::make_unique<Impl>(std::move(options), listen_fd, stop_fd, dataplane, backend)) {}
Server::~Server() = default;

void Server::Run() { impl_->Run(); }

}  // namespace sluice
