// interfaces.cc - what doctor says about network interfaces: there, up, and the checksums of a veth's peer.
//
// Linux leaves UDP and TCP checksums half done on a veth, for a NIC that will never come. We verify every checksum,
// so the peer has to finish them itself: ethtool -K PEER tx off.
#include <linux/ethtool.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <span>

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

  // Of UDP and TCP, when sending.
  [[nodiscard]] std::optional<bool> ChecksumOffload(const std::string& name) const {
    ethtool_value value{};
    value.cmd = ETHTOOL_GTXCSUM;
    if (!Ethtool(name, &value)) return std::nullopt;
    return value.data != 0;
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

// What an interface is tied to: for a veth its other end, by its index in that one's namespace.
struct Link {
  bool veth = false;
  unsigned peer = 0;
  bool elsewhere = false;  // in another namespace, where the index counts
};

std::span<const std::byte> Payload(const rtattr* attribute) {
  return {static_cast<const std::byte*>(RTA_DATA(attribute)), RTA_PAYLOAD(attribute)};
}

template <class Visit>
void ForEachAttribute(const void* first, size_t bytes, Visit visit) {
  auto left = static_cast<int>(bytes);
  for (auto* a = static_cast<const rtattr*>(first); RTA_OK(a, left); a = RTA_NEXT(a, left)) visit(*a);
}

// By rtnetlink: ethtool's and sysfs's peer index does not say in which namespace it counts.
Link LinkOf(const std::string& name) {
  struct {
    nlmsghdr head;
    ifinfomsg info;
  } request{};
  request.head.nlmsg_len = sizeof request;
  request.head.nlmsg_type = RTM_GETLINK;
  request.head.nlmsg_flags = NLM_F_REQUEST;
  request.info.ifi_index = static_cast<int>(if_nametoindex(name.c_str()));
  Link link;
  alignas(nlmsghdr) std::byte answer[32768];
  const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  const ssize_t got =
      send(fd, &request, sizeof request, 0) == sizeof request ? recv(fd, answer, sizeof answer, 0) : ssize_t{-1};
  if (fd >= 0) close(fd);
  const auto* head = reinterpret_cast<const nlmsghdr*>(answer);
  if (got < 0 || !NLMSG_OK(head, static_cast<size_t>(got)) || head->nlmsg_type != RTM_NEWLINK) return link;
  const auto* info = static_cast<const ifinfomsg*>(NLMSG_DATA(head));
  ForEachAttribute(IFLA_RTA(info), IFLA_PAYLOAD(head), [&](const rtattr& attribute) {
    const auto value = Payload(&attribute);
    if (attribute.rta_type == IFLA_LINK && value.size() == sizeof link.peer) {
      std::memcpy(&link.peer, value.data(), sizeof link.peer);
    } else if (attribute.rta_type == IFLA_LINK_NETNSID) {
      link.elsewhere = true;
    } else if (attribute.rta_type == IFLA_LINKINFO) {
      ForEachAttribute(value.data(), value.size(), [&](const rtattr& part) {
        const auto kind = Payload(&part);
        constexpr std::string_view kVeth = "veth";
        if (part.rta_type == IFLA_INFO_KIND && kind.size() >= kVeth.size()) {
          link.veth = std::memcmp(kind.data(), kVeth.data(), kVeth.size()) == 0;
        }
      });
    }
  });
  return link;
}

void ExamineVeth(const Asker& asker, const std::string& name, std::vector<Finding>& findings) {
  const Link link = LinkOf(name);
  if (!link.veth) return;
  const std::string what = "checksums towards " + name;
  char peer[IF_NAMESIZE] = {};
  if (link.elsewhere || if_indextoname(link.peer, peer) == nullptr) {
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
  if (kind == "tap" || kind == "memif" || kind == "pci" || kind == "null") {
    findings.push_back({"port", Verdict::kPass, port + " needs no interface of Linux", ""});
    return;
  }
  if (!port.empty()) {
    findings.push_back({"port", Verdict::kFail, port + " is no port that there is", "iokerneld --help"});
    return;
  }
  findings.push_back(
      {"port", Verdict::kPass, "none asked about (--port af_xdp:IFACE); interfaces here: " + Join(names), ""});
  for (const std::string& each : names) ExamineVeth(asker, each, findings);
}

}  // namespace sluice::ctl
