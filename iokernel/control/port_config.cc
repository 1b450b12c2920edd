// port_config.cc - see port_config.h.
#include "iokernel/control/port_config.h"

#include <net/if.h>

#include <algorithm>
#include <vector>

#include "iokernel/control/config_parse.h"
#include "iokernel/control/units.h"

namespace sluice {
namespace {

struct PortKindInfo {
  PortKind kind;
  const char* name;
  const char* argument;  // what stands behind the colon; null: nothing
  const char* example;
  const char* summary;
};

constexpr PortKindInfo kKinds[] = {
    {PortKind::kAfXdp, "af_xdp", "IFACE", "af_xdp:veth0",
     "an interface of Linux through AF_XDP: the fastest without a NIC of its own"},
    {PortKind::kTap, "tap", "NAME", "tap:sluice0", "a tap interface, which iokerneld creates and removes"},
    {PortKind::kAfPacket, "af_packet", "IFACE", "af_packet:veth0", "an interface of Linux through a packet socket"},
    {PortKind::kMemif, "memif", "SOCKET", "memif:/run/memif.sock", "shared memory to another DPDK process"},
    {PortKind::kPci, "pci", "ADDR", "pci:0000:3b:00.0", "a NIC, bound to vfio-pci or uio_pci_generic"},
    {PortKind::kNull, "null", nullptr, "null", "no packets: for trying things out"},
};

std::string Notation(const PortKindInfo& info) {
  return info.argument == nullptr ? info.name : std::string(info.name) + ":" + info.argument;
}

std::string Notations() {
  std::string all;
  for (const PortKindInfo& info : kKinds) all += (all.empty() ? "" : ", ") + Notation(info);
  return all;
}

std::string Quoted(std::string_view text) { return "\"" + std::string(text) + "\""; }

std::string Join(const std::vector<std::string>& items) {
  std::string text;
  for (const std::string& item : items) text += (text.empty() ? "" : ", ") + item;
  return text.empty() ? "none" : text;
}

bool Contains(const std::vector<std::string>& list, const std::string& item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

bool ValidInterfaceName(std::string_view name) {
  return !name.empty() && name.size() < IFNAMSIZ && name != "." && name != ".." &&
         std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c < 0x7f && c != '/' && c != ':'; });
}

bool ValidPciAddress(const std::string& text) {  // 0000:3b:00.0
  constexpr std::string_view kPattern = "xxxx:xx:xx.x";
  if (text.size() != kPattern.size()) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool hex = (text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f');
    if (kPattern[i] == 'x' ? !hex : text[i] != kPattern[i]) return false;
  }
  return true;
}

// What is wrong with the port's argument, reported; true if nothing.
bool CheckArgument(const PortConfig& port, const Place& place, const MachineFacts& machine, ConfigErrors& errors) {
  const std::string kind = port.text.substr(0, port.text.find(':') + 1);
  const auto suggest = [&](const std::string& nearest) { return nearest.empty() ? "" : Quoted(kind + nearest); };
  switch (port.kind) {
    case PortKind::kAfXdp:
    case PortKind::kAfPacket:
      if (Contains(machine.interfaces, port.argument)) return true;
      errors.Add(place, "no interface " + Quoted(port.argument),
                 "those of this network namespace: " + Join(machine.interfaces),
                 suggest(Nearest(port.argument, machine.interfaces)));
      return false;
    case PortKind::kTap:
      if (ValidInterfaceName(port.argument)) return true;
      errors.Add(place, Quoted(port.argument), "a name of 1 to 15 characters without spaces, '/' and ':'");
      return false;
    case PortKind::kPci: {
      const std::string full = "0000:" + port.argument;
      if (!ValidPciAddress(port.argument)) {
        errors.Add(place, Quoted(port.argument), "a PCI address such as 0000:3b:00.0",
                   ValidPciAddress(full) ? suggest(full) : "");
        return false;
      }
      if (Contains(machine.pci_devices, port.argument)) return true;
      errors.Add(place, "no PCI device " + port.argument, "those that lspci -D shows",
                 suggest(Nearest(port.argument, machine.pci_devices)));
      return false;
    }
    default:
      return true;
  }
}

}  // namespace

std::optional<PortConfig> CheckPort(const Written<std::string>& written, const MachineFacts& machine,
                                    ConfigErrors& errors) {
  const std::string& text = written.value;
  const size_t colon = text.find(':');
  const std::string kind = text.substr(0, colon);
  std::vector<std::string> names;
  for (const PortKindInfo& info : kKinds) names.emplace_back(info.name);
  const auto* info =
      std::find_if(std::begin(kKinds), std::end(kKinds), [&](const PortKindInfo& k) { return k.name == kind; });
  if (info == std::end(kKinds)) {
    std::string meant = Nearest(kind, names);
    if (!meant.empty()) {
      meant = Quoted(meant + (colon == std::string::npos ? "" : text.substr(colon)));
    } else if (Contains(machine.interfaces, text)) {
      meant = Quoted("af_xdp:" + text);
    }
    errors.Add(written.place, Quoted(text), Notations(), meant);
    return std::nullopt;
  }
  const bool has_argument = colon != std::string::npos;
  if (has_argument != (info->argument != nullptr) || (has_argument && colon + 1 == text.size())) {
    errors.Add(written.place, Quoted(text), Notation(*info) + ", such as " + info->example);
    return std::nullopt;
  }
  const PortConfig port{info->kind, text, has_argument ? text.substr(colon + 1) : ""};
  if (!CheckArgument(port, written.place, machine, errors)) return std::nullopt;
  return port;
}

std::string PortChoices() {
  std::string text;
  for (const PortKindInfo& info : kKinds) {
    std::string line = "  --port " + std::string(info.example);
    line.resize(std::max<size_t>(line.size() + 2, 30), ' ');
    text += line + info.summary + "\n";
  }
  return text;
}

}  // namespace sluice
