// server_impl.h - the control thread's state, and the verbs on it, over two files:
//
//   server.cc    the loop: epoll, connections, deadlines, the end
//   requests.cc  what clients and attached apps say, and what they are answered
#pragma once

#include <sys/epoll.h>

#include <ctime>
#include <map>

#include "iokernel/abi/check.h"
#include "iokernel/control/admission.h"
#include "iokernel/control/flow_desk.h"
#include "iokernel/control/recording.h"
#include "iokernel/control/server.h"
#include "iokernel/control/session.h"
#include "iokernel/control/tenants.h"

namespace sluice {

inline int64_t NowMs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

FileDescriptor OpenSpareDescriptor();

// What an epoll event is about; a session's serial number is in the lower bits.
enum class Source : uint64_t { kListen = 1, kStop, kWorkshop, kSession, kPeer };
inline constexpr int kSourceShift = 56;
constexpr uint64_t Tag(Source source, uint64_t serial = 0) {
  return static_cast<uint64_t>(source) << kSourceShift | serial;
}

struct Server::Impl {
  Impl(ServerOptions given, int listen_fd_given, int stop_fd_given, DataplaneGateway& gateway, GrantBackend& grants)
      : options(std::move(given)),
        listen_fd(listen_fd_given),
        stop_fd(stop_fd_given),
        dataplane(gateway),
        backend(grants),
        admission(options.config, options.mtu, options.tsc_hz),
        tenants(gateway, grants),
        flows(tenants, options.config),
        recording(gateway.recorder(), gateway.allocator_options(), options.tsc_hz),
        epoll(epoll_create1(EPOLL_CLOEXEC)) {
    SLUICE_CHECK(epoll.valid(), "no file descriptor is left for epoll");
    Watch(listen_fd, EPOLLIN, Tag(Source::kListen));
    Watch(stop_fd, EPOLLIN, Tag(Source::kStop));
    Watch(tenants.workshop_fd(), EPOLLIN, Tag(Source::kWorkshop));
  }

  // server.cc
  void Run();
  void Turn(int longest_ms);
  void Shutdown();
  void OnDeadlines();
  void LookAtLink();
  void OnConnect();
  void TurnAway();
  void OnSession(uint64_t serial, uint32_t events);
  void SendAndGo(uint64_t serial, Session& session);
  bool Flush(uint64_t serial, Session& session);
  void Close(uint64_t serial);

  // requests.cc
  void OnMessage(uint64_t serial, Session& session, std::span<const std::byte> bytes);
  void OnTenant(const Tenants::Event& event);
  void Attach(uint64_t serial, Session& session, const AttachWish& wish);
  void AttachWaiting();
  void CloseDead();
  void Threads(uint64_t serial, Session& session, ThreadsWish wish);
  void Query(uint64_t serial, Session& session, const QueryWish& wish);
  void Command(uint64_t serial, Session& session, const CommandWish& wish, FileDescriptor file);
  void Answer(uint64_t serial, Session& session, const tl::expected<std::string, Refusal>& answer);
  void Refuse(uint64_t serial, Session& session, const Refusal& refusal);

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
  FlowDesk flows;
  Recording recording;
  FileDescriptor epoll;
  FileDescriptor spare = OpenSpareDescriptor();  // given up to turn somebody away when there is no other
  std::map<uint64_t, Session> sessions;          // by serial number, so the oldest first
  std::map<uint64_t, AttachWish> waiting;        // of sessions at stage kWaiting
  uint64_t next_serial = 1;
  int64_t started_ms = NowMs();
  bool link_up = true;
  int64_t link_seen_ms = 0;
  bool stopping = false;
};

}  // namespace sluice
