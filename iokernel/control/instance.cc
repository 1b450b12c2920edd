// instance.cc - see instance.h.
#include "iokernel/control/instance.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "iokernel/control/config_parse.h"

namespace sluice {
namespace {

using Failure = tl::unexpected<InstanceError>;

Failure Refused(std::string sentence) { return Failure(InstanceError{false, std::move(sentence)}); }
Failure InUse(std::string sentence) { return Failure(InstanceError{true, std::move(sentence)}); }
Failure Fail(const std::string& what) { return Refused(what + ": " + std::strerror(errno)); }

std::string CommandOf(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/comm");
  std::string command;
  std::getline(file, command);
  return command.empty() ? "" : " (" + command + ")";
}

std::string ByPid(pid_t pid) { return pid > 0 ? "pid " + std::to_string(pid) + CommandOf(pid) : "another process"; }

// Whoever holds the lock writes its pid next; it may be just about to.
pid_t HolderOf(const std::string& pid_file) {
  for (int tries = 0; tries < 20; ++tries) {
    pid_t pid = 0;
    if (std::ifstream file(pid_file); file >> pid) return pid;
    poll(nullptr, 0, 5);
  }
  return 0;
}

// A lock on the file that is there under this name, not on one that its last holder has just removed.
tl::expected<FileDescriptor, InstanceError> Lock(const std::string& path, const std::string& run_dir) {
  while (true) {
    FileDescriptor fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
    if (!fd.valid()) return Fail("cannot open " + path);
    if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) return Fail("cannot lock " + path);
      return InUse("the run directory " + run_dir + " is in use by " + ByPid(HolderOf(run_dir + "/pid")) +
                   "; stop it, or start this one with another --run-dir");
    }
    struct stat held {
    }, named{};
    if (fstat(fd.get(), &held) == 0 && stat(path.c_str(), &named) == 0 && held.st_ino == named.st_ino) return fd;
  }
}

// The name under which a port is claimed; empty if any number may use it. Abstract names belong to the network
// namespace, as interfaces do.
std::string ClaimName(const PortConfig& port) {
  switch (port.kind) {
    case PortKind::kAfXdp:
    case PortKind::kAfPacket:
    case PortKind::kTap:
      return "sluice-port/interface/" + port.argument;
    case PortKind::kPci:
      return "sluice-port/pci/" + port.argument;
    case PortKind::kMemif:
      return "sluice-port/memif/" + std::to_string(std::hash<std::string>{}(port.argument));
    default:
      return {};
  }
}

socklen_t AbstractAddress(const std::string& name, sockaddr_un* address) {
  *address = {};
  address->sun_family = AF_UNIX;
  const size_t length = std::min(name.size(), sizeof address->sun_path - 1);
  std::memcpy(address->sun_path + 1, name.data(), length);
  return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + length);
}

// The process that listens there: the kernel tells a client.
pid_t ListenerOf(const sockaddr_un& address, socklen_t length) {
  const FileDescriptor probe(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), length) != 0) return 0;
  return getsockopt(probe.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0 ? credentials.pid : 0;
}

tl::expected<FileDescriptor, InstanceError> ClaimPort(const PortConfig& port) {
  const std::string name = ClaimName(port);
  if (name.empty()) return FileDescriptor();
  sockaddr_un address;
  const socklen_t length = AbstractAddress(name, &address);
  FileDescriptor fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return Fail("cannot make a socket");
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), length) != 0) {
    if (errno != EADDRINUSE) return Fail("cannot claim the port " + port.text);
    return InUse("the port " + port.text + " is in use by " + ByPid(ListenerOf(address, length)) +
                 "; stop it, or start this one with another --port");
  }
  if (listen(fd.get(), 8) != 0) return Fail("cannot claim the port " + port.text);
  return fd;
}

bool IsSocket(const std::string& path) {
  struct stat status {};
  return lstat(path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode);
}

tl::expected<FileDescriptor, InstanceError> ListenControl(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return Refused(path + ": too long for a socket's name");
  std::memcpy(address.sun_path, path.c_str(), path.size());
  FileDescriptor fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return Fail("cannot make a socket");
  if (access(path.c_str(), F_OK) == 0 && !IsSocket(path)) {
    return Refused(path + " is there and is no socket; start with another --run-dir");
  }
  unlink(path.c_str());             // a killed daemon's: we hold the lock
  const mode_t mask = umask(0117);  // 0660 from its first instant: root, our user, and our group
  const int bound = bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const int error = errno;
  umask(mask);
  errno = error;
  if (bound != 0) return Fail("cannot bind " + path);
  if (listen(fd.get(), 128) != 0) return Fail("cannot listen on " + path);
  return fd;
}

bool WriteFile(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::trunc);
  file << text;
  file.close();
  return file.good();
}

}  // namespace

tl::expected<Instance, InstanceError> Instance::Acquire(const std::string& run_dir, const PortConfig& port) {
  Instance instance;
  std::error_code error;
  const bool made = std::filesystem::create_directories(run_dir, error);
  if (error || !std::filesystem::is_directory(run_dir, error)) {
    return Refused("cannot make the run directory " + run_dir + ": " +
                   (error ? error.message() : "something else has this name") +
                   "; start with --run-dir DIR, a directory you may write to");
  }
  if (made) std::filesystem::permissions(run_dir, std::filesystem::perms(0755), error);
  auto lock = Lock(run_dir + "/lock", run_dir);
  if (!lock) {
    if (made) rmdir(run_dir.c_str());
    return Failure(lock.error());
  }
  instance.lock_ = std::move(*lock);
  instance.run_dir_ = run_dir;  // from here on the destructor tidies up
  // The lock file remembers, past a kill -9, that the directory is ours to remove.
  struct stat lock_stat {};
  instance.made_dir_ = made || (fstat(instance.lock_.get(), &lock_stat) == 0 && lock_stat.st_size > 0);
  if (made && !WriteFile(run_dir + "/lock", "directory made by iokerneld\n")) return Fail("cannot write to " + run_dir);
  auto claim = ClaimPort(port);
  if (!claim) return Failure(claim.error());
  instance.port_ = std::move(*claim);
  if (!WriteFile(run_dir + "/pid", std::to_string(getpid()) + "\n")) return Fail("cannot write " + run_dir + "/pid");
  auto control = ListenControl(run_dir + "/control");
  if (!control) return Failure(control.error());
  instance.control_ = std::move(*control);
  return instance;
}

Instance::~Instance() {
  if (!lock_.valid()) return;
  if (IsSocket(run_dir_ + "/control")) unlink((run_dir_ + "/control").c_str());
  for (const char* name : {"/pid", "/lock"}) unlink((run_dir_ + name).c_str());
  if (made_dir_) rmdir(run_dir_.c_str());
}

}  // namespace sluice
