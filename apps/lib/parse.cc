#include "apps/lib/parse.h"

#include <arpa/inet.h>

#include <array>
#include <charconv>
#include <cmath>

namespace sluice::apps {
namespace {

std::string Quoted(std::string_view text) {
  std::string quoted(1, '\'');
  quoted += text;
  quoted += '\'';
  return quoted;
}

template <class T>
bool WholeNumber(std::string_view text, T* value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value);
  return error == std::errc() && end == text.data() + text.size();
}

struct Unit {
  std::string_view name;
  double ns;
};
constexpr std::array<Unit, 4> kUnits = {{{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}}};

}  // namespace

tl::expected<double, std::string> ParseNumber(std::string_view text) {
  double value = 0;
  if (!WholeNumber(text, &value) || !std::isfinite(value)) {
    return tl::unexpected("got " + Quoted(text) + ", allowed is a number");
  }
  return value;
}

tl::expected<uint64_t, std::string> ParseDurationNs(std::string_view text) {
  const std::string wrong = "got " + Quoted(text) + ", allowed is a time such as 500ns, 10us, 2.5ms or 1s";
  if (text == "0") return 0;
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || !std::isfinite(value) || value < 0) return tl::unexpected(wrong);
  const std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  for (const Unit& known : kUnits) {
    if (unit != known.name) continue;
    const double ns = value * known.ns;
    if (ns > 3.6e12) return tl::unexpected("got " + Quoted(text) + ", allowed is up to 3600s");
    return static_cast<uint64_t>(std::llround(ns));
  }
  return tl::unexpected(wrong);
}

tl::expected<uint32_t, std::string> ParseAddress(std::string_view text) {
  in_addr address{};
  if (inet_pton(AF_INET, std::string(text).c_str(), &address) != 1) {
    return tl::unexpected("got " + Quoted(text) + ", allowed is an IPv4 address such as 10.0.0.2");
  }
  return ntohl(address.s_addr);
}

tl::expected<Endpoint, std::string> ParseEndpoint(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) {
    return tl::unexpected("got " + Quoted(text) + ", allowed is ADDRESS:PORT such as 10.0.0.2:7000");
  }
  const auto address = ParseAddress(text.substr(0, colon));
  if (!address) return tl::unexpected(address.error());
  uint16_t port = 0;
  if (!WholeNumber(text.substr(colon + 1), &port) || port == 0) {
    return tl::unexpected("got port " + Quoted(text.substr(colon + 1)) + ", allowed is 1 to 65535");
  }
  return Endpoint{*address, port};
}

tl::expected<Network, std::string> ParseNetwork(std::string_view text) {
  const size_t slash = text.find('/');
  uint8_t bits = 0;
  if (slash == std::string_view::npos || !WholeNumber(text.substr(slash + 1), &bits) || bits < 1 || bits > 32) {
    return tl::unexpected("got " + Quoted(text) + ", allowed is a network such as 10.64.0.0/10");
  }
  const auto address = ParseAddress(text.substr(0, slash));
  if (!address) return tl::unexpected(address.error());
  const uint32_t mask = ~uint32_t{0} << (32 - bits);
  if ((*address & ~mask) != 0) {
    return tl::unexpected("got " + Quoted(text) + ", which has bits set beyond its prefix");
  }
  return Network{*address, bits};
}

std::string ToString(const Endpoint& endpoint) {
  std::string text;
  for (int shift = 24; shift >= 0; shift -= 8) {
    text += std::to_string((endpoint.address >> shift) & 0xff);
    text += shift == 0 ? ':' : '.';
  }
  return text + std::to_string(endpoint.port);
}

}  // namespace sluice::apps
