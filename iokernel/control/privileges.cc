// privileges.cc - see privileges.h.
#include "iokernel/control/privileges.h"

#include <linux/capability.h>
#include <sys/resource.h>

#include "iokernel/dataplane/interface.h"

namespace sluice {
namespace {

struct Need {
  int capability;
  const char* name;
  const char* purpose;
};

std::vector<Need> NeedsOf(PortKind kind) {
  switch (kind) {
    case PortKind::kAfXdp:
      return {{CAP_NET_RAW, "CAP_NET_RAW", "to open an AF_XDP socket"},
              {CAP_NET_ADMIN, "CAP_NET_ADMIN", "to attach its program to the interface"},
              {CAP_BPF, "CAP_BPF", "to load that program"}};
    case PortKind::kAfPacket:
      return {{CAP_NET_RAW, "CAP_NET_RAW", "to open a packet socket"}};
    case PortKind::kTap:
      return {{CAP_NET_ADMIN, "CAP_NET_ADMIN", "to make a tap interface"}};
    case PortKind::kPci:
      return {{CAP_IPC_LOCK, "CAP_IPC_LOCK", "to pin the memory that the NIC writes"}};
    default:
      return {};
  }
}

// CAP_SYS_ADMIN stood for CAP_BPF before Linux 5.8, and does still.
bool Has(const Need& need) {
  return HasCapability(need.capability) || (need.capability == CAP_BPF && HasCapability(CAP_SYS_ADMIN));
}

}  // namespace

Privileges CheckPrivileges(const Config& config) {
  Privileges privileges;
  std::string names;
  for (const Need& need : NeedsOf(config.port.kind)) {
    if (Has(need)) continue;
    privileges.missing.push_back("the port " + config.port.text + " needs " + need.name + " " + need.purpose);
    names += (names.empty() ? "" : ",") + std::string(need.name);
  }
  // setcap replaces what was set before: all in one command.
  if (!names.empty()) privileges.missing.push_back("run as root, or first: setcap " + names + "+ep iokerneld");
  if (!HasCapability(CAP_SYS_NICE)) {
    privileges.reduced.emplace_back(
        "without CAP_SYS_NICE only apps of this user get cores, and the control plane has "
        "no priority over them");
  }
  if (!HasCapability(CAP_KILL)) {
    privileges.reduced.emplace_back("without CAP_KILL a core is taken back from apps of this user only");
  }
  rlimit locked{};
  if (config.port.kind == PortKind::kAfXdp && !HasCapability(CAP_IPC_LOCK) && getrlimit(RLIMIT_MEMLOCK, &locked) == 0 &&
      locked.rlim_cur != RLIM_INFINITY) {
    privileges.reduced.push_back("without CAP_IPC_LOCK packet memory must fit into the limit of locked memory, " +
                                 std::to_string(locked.rlim_cur >> 10) + " KiB: ulimit -l unlimited");
  }
  return privileges;
}

}  // namespace sluice
