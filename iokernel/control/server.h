// server.h - the control thread: attaches apps, notices that they are gone, answers questions.
//
// One thread, one epoll, nothing that blocks: a slow or hostile client costs its own connection. Making and
// freeing an app's memory takes milliseconds and is done by a helper thread (workshop.h), so a hang-up is
// acted on at once, whatever else goes on.
//
//   connection:  opened -> (waiting) -> making -> threads awaited -> attaching -> attached -> detaching -> gone
//                opened -> (asking the loop) -> answering -> gone
//
// Every stage that waits for the peer has a deadline. What happens to an attached app is told in tenants.h.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "iokernel/control/config.h"
#include "iokernel/control/gateway.h"
#include "iokernel/dataplane/port.h"
#include "iokernel/grant/backend.h"

namespace sluice {

struct ServerOptions {
  Config config;
  uint64_t tsc_hz = 1'000'000'000;
  uint16_t mtu = 1500;
  const Port* port = nullptr;          // for `stat`; may be missing
  std::vector<std::string> fallbacks;  // what this machine lacks, one sentence each
  uint32_t max_connections = 512;      // apps and questions together
  uint32_t first_message_ms = 1000;    // from connecting to a whole request, and for others to leave first
  uint32_t threads_ms = 10'000;        // from the region to the thread ids
  uint32_t send_ms = 2000;             // for the peer to take an answer
};

class Server {
 public:
  // listen_fd: a listening non-blocking SOCK_SEQPACKET. stop_fd: becomes readable when it is time to go
  // (signalfd, eventfd). Both stay the caller's.
  Server(ServerOptions options, int listen_fd, int stop_fd, DataplaneGateway& dataplane, GrantBackend& backend);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Until stop_fd is readable; then detaches everybody.
  void Run();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
