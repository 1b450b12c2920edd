// net.h - IPv4 addresses and endpoints, in host order, and their text.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace sluice {

// The timeout of a call that waits for as long as it takes.
inline constexpr std::chrono::nanoseconds kForever = std::chrono::nanoseconds::max();

// An IPv4 address and a UDP or TCP port. Zero means "any" where a call says so.
struct Endpoint {
  uint32_t address = 0;
  uint16_t port = 0;

  friend constexpr auto operator<=>(const Endpoint&, const Endpoint&) = default;
};

// "10.0.0.2" -> 0x0a000002. Four decimal numbers, nothing else.
[[nodiscard]] std::optional<uint32_t> ParseAddress(std::string_view text);

// "10.0.0.2:7". A missing address ("7", ":7") is 0; a port is needed.
[[nodiscard]] std::optional<Endpoint> ParseEndpoint(std::string_view text);

[[nodiscard]] std::string AddressToString(uint32_t address);
[[nodiscard]] std::string ToString(const Endpoint& endpoint);

}  // namespace sluice

template <>
struct std::hash<sluice::Endpoint> {
  size_t operator()(const sluice::Endpoint& e) const noexcept {
    return std::hash<uint64_t>{}(uint64_t{e.address} << 16 | e.port);
  }
};
