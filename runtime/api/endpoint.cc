// endpoint.cc - see sluice/net.h.
#include <charconv>

#include "sluice/net.h"

namespace sluice {
namespace {

// A decimal number up to `max` at the front of `text`, which loses it. No sign, no leading zero.
std::optional<uint32_t> TakeNumber(std::string_view* text, uint32_t max) {
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  const auto digits = static_cast<size_t>(end - text->data());
  if (error != std::errc() || value > max || (digits > 1 && text->front() == '0')) return std::nullopt;
  text->remove_prefix(digits);
  return value;
}

}  // namespace

std::optional<uint32_t> ParseAddress(std::string_view text) {
  uint32_t address = 0;
  for (int i = 0; i < 4; ++i) {
    if (i > 0) {
      if (text.empty() || text.front() != '.') return std::nullopt;
      text.remove_prefix(1);
    }
    const auto byte = TakeNumber(&text, 255);
    if (!byte) return std::nullopt;
    address = address << 8 | *byte;
  }
  return text.empty() ? std::optional(address) : std::nullopt;
}

std::optional<Endpoint> ParseEndpoint(std::string_view text) {
  Endpoint endpoint;
  if (const size_t colon = text.find(':'); colon != std::string_view::npos) {
    if (colon > 0) {
      const auto address = ParseAddress(text.substr(0, colon));
      if (!address) return std::nullopt;
      endpoint.address = *address;
    }
    text.remove_prefix(colon + 1);
  }
  const auto port = TakeNumber(&text, 65535);
  if (!port || !text.empty()) return std::nullopt;
  endpoint.port = static_cast<uint16_t>(*port);
  return endpoint;
}

std::string AddressToString(uint32_t address) {
  std::string text;
  for (int shift = 24; shift >= 0; shift -= 8) {
    if (shift < 24) text += '.';
    text += std::to_string(address >> shift & 0xff);
  }
  return text;
}

std::string ToString(const Endpoint& endpoint) {
  return AddressToString(endpoint.address) + ":" + std::to_string(endpoint.port);
}

}  // namespace sluice
