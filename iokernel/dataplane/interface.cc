#include "iokernel/dataplane/interface.h"

#include <linux/ethtool.h>
#include <linux/if_xdp.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>

namespace sluice {
namespace {

class Socket {
 public:
  Socket(int domain, int type) : fd_(socket(domain, type | SOCK_CLOEXEC, 0)) {}
  ~Socket() {
    if (fd_ >= 0) close(fd_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  [[nodiscard]] int fd() const { return fd_; }

 private:
  int fd_;
};

ifreq RequestFor(const std::string& name) {
  ifreq request{};
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  return request;
}

constexpr uint32_t kXdpFrames = 16;
constexpr uint32_t kXdpFrameBytes = 4096;

// The smallest AF_XDP socket that can be bound. Returns 0 or the error.
int TryXdpBind(uint32_t interface, void* memory) {
  const Socket xdp(AF_XDP, SOCK_RAW);
  if (xdp.fd() < 0) return errno;
  xdp_umem_reg umem{};
  umem.addr = reinterpret_cast<uint64_t>(memory);
  umem.len = uint64_t{kXdpFrames} * kXdpFrameBytes;
  umem.chunk_size = kXdpFrameBytes;
  const int ring = kXdpFrames;
  if (setsockopt(xdp.fd(), SOL_XDP, XDP_UMEM_REG, &umem, sizeof(umem)) != 0 ||
      setsockopt(xdp.fd(), SOL_XDP, XDP_UMEM_FILL_RING, &ring, sizeof(ring)) != 0 ||
      setsockopt(xdp.fd(), SOL_XDP, XDP_UMEM_COMPLETION_RING, &ring, sizeof(ring)) != 0 ||
      setsockopt(xdp.fd(), SOL_XDP, XDP_RX_RING, &ring, sizeof(ring)) != 0) {
    return errno;
  }
  sockaddr_xdp address{};
  address.sxdp_family = AF_XDP;
  address.sxdp_ifindex = interface;
  return bind(xdp.fd(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0 ? 0 : errno;
}

}  // namespace

InterfaceInfo LookAtInterface(const std::string& name) {
  InterfaceInfo info;
  if (name.empty() || name.size() >= IFNAMSIZ || if_nametoindex(name.c_str()) == 0) return info;
  info.exists = true;
  const Socket any(AF_INET, SOCK_DGRAM);
  ifreq request = RequestFor(name);
  if (ioctl(any.fd(), SIOCGIFFLAGS, &request) == 0) {
    info.up = (request.ifr_flags & IFF_UP) != 0;
    info.carrier = (request.ifr_flags & IFF_RUNNING) != 0;
  }
  request = RequestFor(name);
  if (ioctl(any.fd(), SIOCGIFMTU, &request) == 0) info.mtu = static_cast<uint16_t>(request.ifr_mtu);
  ethtool_channels channels{};
  channels.cmd = ETHTOOL_GCHANNELS;
  request = RequestFor(name);
  request.ifr_data = reinterpret_cast<char*>(&channels);
  if (ioctl(any.fd(), SIOCETHTOOL, &request) == 0) {
    const uint32_t queues = channels.combined_count + channels.rx_count;
    if (queues > 0) info.rx_queues = queues;
  }
  return info;
}

std::string InterfaceNames() {
  std::string names;
  struct if_nameindex* list = if_nameindex();
  if (list == nullptr) return names;
  for (const struct if_nameindex* at = list; at->if_index != 0; ++at) {
    if (!names.empty()) names += ", ";
    names += at->if_name;
  }
  if_freenameindex(list);
  return names;
}

bool HasCapability(int capability) {
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word) {
    if (word != "CapEff:") continue;
    uint64_t effective = 0;
    status >> std::hex >> effective;
    return (effective >> capability & 1) != 0;
  }
  return false;
}

std::string WhyNoXdpSocket(const std::string& name) {
  const uint32_t interface = if_nametoindex(name.c_str());
  if (interface == 0) return "interface " + name + " does not exist";
  void* memory =
      mmap(nullptr, size_t{kXdpFrames} * kXdpFrameBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return std::string("no memory: ") + std::strerror(errno);
  const int error = TryXdpBind(interface, memory);
  munmap(memory, size_t{kXdpFrames} * kXdpFrameBytes);
  switch (error) {
    case 0:
      return "";
    case EBUSY:
      return "another process has bound queue 0 of " + name + " already; `ss --xdp -p` names it";
    case EPERM:
    case EACCES:
      return "it needs CAP_NET_RAW, CAP_NET_ADMIN and CAP_BPF: run as root";
    case EAFNOSUPPORT:
      return "this kernel has no AF_XDP (CONFIG_XDP_SOCKETS); try af_packet:" + name;
    case ENOBUFS:
    case ENOMEM:
      return "no locked memory to be had; see `ulimit -l`";
    default:
      return std::strerror(error);
  }
}

}  // namespace sluice
