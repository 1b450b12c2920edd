// peer.h - the process at the other end of the control socket, as the kernel knows it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <span>
#include <string>
#include <tl/expected.hpp>

#include "iokernel/control/file_descriptor.h"

namespace sluice {

struct Peer {
  pid_t pid = 0;
  uid_t uid = 0;
  std::string command;   // /proc/PID/comm
  FileDescriptor pidfd;  // readable once the process has gone; the pid is not reused while it is open

  [[nodiscard]] bool Alive() const;
};

// Who connected. Allowed are root, our own user and members of `group` (the control socket's group; the
// socket's mode 0660 says the same). Error: a sentence.
tl::expected<Peer, std::string> IdentifyPeer(int socket, gid_t group);

// True if every id is a thread of the peer: looked up in /proc/PID/task, never believed.
[[nodiscard]] bool OwnsThreads(const Peer& peer, std::span<const uint32_t> tids, uint32_t* foreign);

}  // namespace sluice
