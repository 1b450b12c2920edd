// parse.h - values as users type them: durations, addresses, endpoints. Errors are sentences for a person.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

namespace sluice::apps {

// An IPv4 address and a UDP port, host order.
struct Endpoint {
  uint32_t address = 0;
  uint16_t port = 0;
  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

// A network: `address` has no bits outside the prefix.
struct Network {
  uint32_t address = 0;
  uint8_t prefix_bits = 32;
  // Addresses between the network's own and its broadcast address.
  [[nodiscard]] uint32_t hosts() const { return prefix_bits >= 31 ? 1 : (uint32_t{1} << (32 - prefix_bits)) - 2; }
};

// "10us", "0.5us", "200ns", "3ms", "1s", "0": nanoseconds. A number without a unit is refused, 0 excepted.
[[nodiscard]] tl::expected<uint64_t, std::string> ParseDurationNs(std::string_view text);

[[nodiscard]] tl::expected<double, std::string> ParseNumber(std::string_view text);
[[nodiscard]] tl::expected<uint32_t, std::string> ParseAddress(std::string_view text);   // "10.0.0.2"
[[nodiscard]] tl::expected<Endpoint, std::string> ParseEndpoint(std::string_view text);  // "10.0.0.2:7000"
[[nodiscard]] tl::expected<Network, std::string> ParseNetwork(std::string_view text);    // "10.64.0.0/10"
[[nodiscard]] std::string ToString(const Endpoint& endpoint);

}  // namespace sluice::apps
