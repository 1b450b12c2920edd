// interfaces.cc - what doctor says about network interfaces: there, up, and the checksums of a veth's peer.
//
// Linux leaves UDP and TCP checksums half done on a veth, for a NIC that will never come. We verify every checksum,
// so the peer has to finish them itself: ethtool -K PEER tx off.
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "apps/sluicectl/doctor.h"

namespace sluice::ctl {
namespace {

// A socket to ask ioctls of.
class Asker {
 public:
  Asker() : fd_(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {}
  ~Asker() {
    if (fd_ >= 0) close(fd_);
  }
  Asker(const Asker&) = delete;
  Asker& operator=(const Asker&) = delete;

  [[nodiscard]] bool Up(const std::string& name) const {
    ifreq request = Request(name);
    return ioctl(fd_, SIOCGIFFLAGS, &request) == 0 && (request.ifr_flags & IFF_UP) != 0;
  }

  [[nodiscard]] std::string Driver(const std::string& name) const {
    ethtool_drvinfo info{};
    info.cmd = ETHTOOL_GDRVINFO;
    return Ethtool(name, &info) ? info.driver : "";
  }

  // Of UDP and TCP, when sending.
  [[nodiscard]] std::optional<bool> ChecksumOffload(const std::string& name) const {
    ethtool_value value{};
    value.cmd = ETHTOOL_GTXCSUM;
    if (!Ethtool(name, &value)) return std::nullopt;
    return value.data != 0;
  }

  // A veth's other end, by its index there; 0: not a veth.
  [[nodiscard]] unsigned PeerIndex(const std::string& name) const {
    if (Driver(name) != "veth") return 0;
    constexpr size_t kMost = 256;
    ethtool_drvinfo info{};
    info.cmd = ETHTOOL_GDRVINFO;
    if (!Ethtool(name, &info) || info.n_stats == 0 || info.n_stats > kMost) return 0;
    std::vector<uint64_t> memory(1 + info.n_stats);
    auto* stats = reinterpret_cast<ethtool_stats*>(memory.data());
    stats->cmd = ETHTOOL_GSTATS;
    stats->n_stats = info.n_stats;
    return Ethtool(name, stats) ? static_cast<unsigned>(memory[1]) : 0;  // "peer_ifindex" is the first
  }

 private:
  static ifreq Request(const std::string& name) {
    ifreq request{};
    name.copy(request.ifr_name, IFNAMSIZ - 1);
    return request;
  }
  bool Ethtool(const std::string& name, void* data) const {
    ifreq request = Request(name);
    request.ifr_data = static_cast<char*>(data);
    return ioctl(fd_, SIOCETHTOOL, &request) == 0;
  }

  int fd_;
};

std::vector<std::string> Interfaces() {
  std::vector<std::string> names;
  if (struct if_nameindex* list = if_nameindex()) {
    for (struct if_nameindex* entry = list; entry->if_index != 0; ++entry) names.emplace_back(entry->if_name);
    if_freenameindex(list);
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string Join(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

void ExamineVeth(const Asker& asker, const std::string& name, std::vector<Finding>& findings) {
  const unsigned index = asker.PeerIndex(name);
  if (index == 0) return;
  const std::string what = "checksums towards " + name;
  char peer[IF_NAMESIZE] = {};
  // The index counts in the peer's namespace: it is ours only if that interface names us as its peer.
  if (if_indextoname(index, peer) == nullptr || asker.PeerIndex(peer) != if_nametoindex(name.c_str())) {
    findings.push_back({what, Verdict::kWarn, "its peer is in another namespace and cannot be seen from here",
                        "in the peer's namespace: ethtool -K PEER tx off"});
    return;
  }
  const auto offload = asker.ChecksumOffload(peer);
  if (offload.value_or(false)) {
    findings.push_back({what, Verdict::kWarn,
                        std::string("the peer ") + peer + " leaves checksums undone: UDP and TCP would be dropped",
                        std::string("ethtool -K ") + peer + " tx off"});
  } else {
    findings.push_back({what, Verdict::kPass, std::string("the peer ") + peer + " completes them", ""});
  }
}

}  // namespace

void ExamineInterfaces(const std::string& port, std::vector<Finding>& findings) {
  const Asker asker;
  const std::vector<std::string> names = Interfaces();
  const size_t colon = port.find(':');
  const std::string kind = port.substr(0, colon);
  const std::string name = colon == std::string::npos ? "" : port.substr(colon + 1);
  if (kind == "af_xdp" || kind == "af_packet") {
    const bool there = std::find(names.begin(), names.end(), name) != names.end();
    if (!there) {
      findings.push_back({"port", Verdict::kFail, "no interface " + name + "; there are " + Join(names),
                          "ip link add " + name + " type veth peer name " + name + "p"});
      return;
    }
    const bool up = asker.Up(name);
    findings.push_back({"port", up ? Verdict::kPass : Verdict::kFail,
                        "interface " + name + (up ? " is up" : " is down"), up ? "" : "ip link set " + name + " up"});
    ExamineVeth(asker, name, findings);
    return;
  }
  if (port.empty()) {
    findings.push_back(
        {"port", Verdict::kPass, "none asked about (--port af_xdp:IFACE); interfaces here: " + Join(names), ""});
  } else {
    findings.push_back({"port", Verdict::kPass, port + " needs no interface of Linux", ""});
  }
  for (const std::string& each : names) ExamineVeth(asker, each, findings);
}

}  // namespace sluice::ctl
