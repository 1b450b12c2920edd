#include "iokernel/dataplane/port_args.h"

#include <linux/capability.h>
#include <net/if.h>
#include <unistd.h>

#include "iokernel/dataplane/interface.h"

namespace sluice {
namespace {

using Result = tl::expected<PortArguments, std::string>;

tl::unexpected<std::string> Refuse(const PortConfig& config, const std::string& why) {
  return tl::unexpected("port " + config.text + ": " + why);
}

// An interface of Linux that must be there and up.
Result OverInterface(const PortConfig& config, const std::string& device, const std::string& more) {
  const std::string& name = config.argument;
  const InterfaceInfo info = LookAtInterface(name);
  if (!info.exists) {
    return Refuse(config,
                  "interface " + name + " does not exist in this network namespace; there are " + InterfaceNames());
  }
  if (!info.up) return Refuse(config, "interface " + name + " is down: ip link set " + name + " up");
  PortArguments made{device, "iface=" + name + more, name, "", true};
  if (config.kind == PortKind::kAfXdp && info.rx_queues > 1) {
    made.warning = name + " has " + std::to_string(info.rx_queues) +
                   " receive queues and only the first is served: ethtool -L " + name + " combined 1";
  }
  return made;
}

Result Tap(const PortConfig& config, const std::string& unique) {
  const std::string& name = config.argument;
  if (name.empty() || name.size() >= IFNAMSIZ) {
    return Refuse(config, "a TAP's name has 1 to " + std::to_string(IFNAMSIZ - 1) + " characters");
  }
  if (LookAtInterface(name).exists) {
    return Refuse(config, "interface " + name + " exists already; a TAP is made by us: choose another name");
  }
  if (access("/dev/net/tun", R_OK | W_OK) != 0) return Refuse(config, "/dev/net/tun cannot be opened: modprobe tun");
  return PortArguments{"net_tap_" + unique, "iface=" + name, name, "", true};
}

// "memif:/path/to.sock" is the server's end of it; "memif:role=client,id=0,socket=/path" is said in full.
Result Memif(const PortConfig& config, const std::string& unique) {
  const std::string& argument = config.argument;
  if (argument.empty()) return Refuse(config, "say memif:/path/to/socket, or memif:role=client,socket=/path/to/socket");
  std::string arguments = argument[0] == '/' ? "role=server,id=0,socket=" + argument : argument;
  if (arguments.find("socket-abstract=") == std::string::npos) arguments += ",socket-abstract=no";
  return PortArguments{"net_memif_" + unique, arguments, "", "", true};
}

}  // namespace

Result MakePortArguments(const PortConfig& config, const std::string& unique) {
  switch (config.kind) {
    case PortKind::kNone:
      return Refuse(config, "none is configured");
    case PortKind::kAfXdp:
      // busy_budget=0: otherwise every poll that finds nothing is a system call (318 ns an idle iteration, not 39).
      return OverInterface(config, "net_af_xdp_" + unique, ",start_queue=0,queue_count=1,busy_budget=0");
    case PortKind::kAfPacket:
      return OverInterface(config, "net_af_packet_" + unique,
                           ",qdisc_bypass=1,framesz=4096,blocksz=65536,framecnt=1024");
    case PortKind::kTap:
      return Tap(config, unique);
    case PortKind::kMemif:
      return Memif(config, unique);
    case PortKind::kPci:
      if (config.argument.empty()) return Refuse(config, "say pci:0000:03:00.0; `lspci -D` lists the addresses");
      return PortArguments{config.argument, "", "", "", false};
    case PortKind::kNull:
      return PortArguments{"net_null_" + unique, "no-rx=1", "", "", true};
  }
  return Refuse(config, "no such kind of port");
}

std::string WhyPortFailed(const PortConfig& config, const std::string& dpdk_says) {
  std::string why;
  switch (config.kind) {
    case PortKind::kAfXdp:
      why = WhyNoXdpSocket(config.argument);
      break;
    case PortKind::kAfPacket:
      if (!HasCapability(CAP_NET_RAW)) why = "it needs CAP_NET_RAW: run as root";
      break;
    case PortKind::kTap:
      if (!HasCapability(CAP_NET_ADMIN)) why = "it needs CAP_NET_ADMIN: run as root";
      break;
    case PortKind::kPci:
      why = "is the device bound to vfio-pci (dpdk-devbind.py --status shows it)?";
      break;
    default:
      break;
  }
  if (!dpdk_says.empty()) why += (why.empty() ? "DPDK says: " : "; DPDK says: ") + dpdk_says;
  return "port " + config.text + " cannot be opened: " + (why.empty() ? "DPDK gives no reason" : why);
}

}  // namespace sluice
