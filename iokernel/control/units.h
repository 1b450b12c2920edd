// units.h - the small notations of the config: IPv4 addresses, networks, lists of CPUs, nearest names.
//
// Strict: what is not exactly the notation is refused. Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "iokernel/control/config.h"

namespace sluice {

std::optional<uint64_t> ParseUnsigned(std::string_view text);  // decimal digits only
std::optional<uint32_t> ParseIpv4(std::string_view text);      // host order
std::optional<Ipv4Net> ParseIpv4Net(std::string_view text);    // "10.0.0.1/24"; keeps the host bits

std::string FormatIpv4(uint32_t address);
std::string FormatIpv4Net(const Ipv4Net& net);

// "3", "2-5", "1*4" (four slots on CPU 1) or "2-3*2".
struct CpuItem {
  uint16_t first = 0, last = 0;
  uint16_t slots = 1;  // on each
};
std::optional<CpuItem> ParseCpuItem(std::string_view text);
std::string FormatCpuList(std::span<const uint16_t> cpus);                 // ascending: "0-3, 6"
std::vector<std::string> FormatCoreSlots(std::span<const uint16_t> cpus);  // by CoreId: {"1*4", "2-5"}

// A duration with a unit, "5us" or "1 ms", in microseconds if it is a whole number of them.
std::optional<uint64_t> ParseDurationUs(std::string_view text);

// The candidate that `text` was most likely meant to be; empty if none is near.
std::string Nearest(std::string_view text, std::span<const std::string> candidates);

}  // namespace sluice
