// peer.cc - see peer.h.
#include "iokernel/control/peer.h"

#include <fcntl.h>
#include <linux/limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <vector>

#ifndef SO_PEERPIDFD  // Linux 6.5
#define SO_PEERPIDFD 77
#endif

namespace sluice {
namespace {

// A pidfd of the process that connected: from the socket, or, before Linux 6.5, by its number.
FileDescriptor OpenPidfd(int socket, pid_t pid) {
  int fd = -1;
  socklen_t length = sizeof fd;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &fd, &length) == 0) return FileDescriptor(fd);
  return FileDescriptor(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
}

bool InGroup(int socket, const ucred& peer, gid_t group) {
  if (peer.gid == group) return true;
  std::vector<gid_t> groups(NGROUPS_MAX);
  auto length = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
  if (getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &length) != 0) return false;
  groups.resize(length / sizeof(gid_t));
  return std::find(groups.begin(), groups.end(), group) != groups.end();
}

}  // namespace

bool Peer::Alive() const {
  pollfd poll_fd{pidfd.get(), POLLIN, 0};
  return poll(&poll_fd, 1, 0) == 0;
}

tl::expected<Peer, std::string> IdentifyPeer(int socket, gid_t group) {
  ucred credentials{};
  socklen_t length = sizeof credentials;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0 || credentials.pid <= 0) {
    return tl::make_unexpected("iokerneld cannot see your process: it is in another pid namespace");
  }
  if (credentials.uid != 0 && credentials.uid != geteuid() && !InGroup(socket, credentials, group)) {
    return tl::make_unexpected(
        "user " + std::to_string(credentials.uid) +
        " may not use this iokerneld; allowed are root, its own user and the group of its control socket");
  }
  Peer peer;
  peer.pid = credentials.pid;
  peer.uid = credentials.uid;
  peer.pidfd = OpenPidfd(socket, credentials.pid);
  if (!peer.pidfd.valid())
    return tl::make_unexpected(std::string("iokerneld cannot watch your process: ") + std::strerror(errno));
  std::ifstream comm("/proc/" + std::to_string(peer.pid) + "/comm");
  std::getline(comm, peer.command);
  return peer;
}

bool OwnsThreads(const Peer& peer, std::span<const uint32_t> tids, uint32_t* foreign) {
  const std::string tasks = "/proc/" + std::to_string(peer.pid) + "/task";
  const FileDescriptor directory(open(tasks.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (const uint32_t tid : tids) {
    if (directory.valid() && faccessat(directory.get(), std::to_string(tid).c_str(), F_OK, 0) == 0) continue;
    *foreign = tid;
    return false;
  }
  // Only if the process lives now was that /proc entry its own and not a successor's.
  if (peer.Alive()) return true;
  *foreign = tids.empty() ? 0 : tids.front();
  return false;
}

}  // namespace sluice
