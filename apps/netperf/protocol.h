// protocol.h - the datagrams of netperf's tests. Fields are in the machine's byte order: both ends are this program.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

namespace sluice::apps {

enum class Kind : uint32_t {
  kRequest = 0x6e700001,  // UDP_RR: comes back as kReply, the rest unchanged
  kReply = 0x6e700002,
  kStream = 0x6e700003,  // UDP_STREAM: counted
  kQuery = 0x6e700004,   // comes back as kCount
  kCount = 0x6e700005,   // with `packets` and `bytes` of this run
};

struct Header {
  Kind kind = Kind::kRequest;
  uint32_t run = 0;  // one client's, at random
  uint64_t sequence = 0;
  uint64_t packets = 0;
  uint64_t bytes = 0;
};
static_assert(sizeof(Header) == 32);

[[nodiscard]] inline std::optional<Header> ReadHeader(std::span<const std::byte> bytes) {
  Header header;
  if (bytes.size() < sizeof(header)) return {};
  std::memcpy(&header, bytes.data(), sizeof(header));
  return header;
}

// `bytes` has room for a Header.
inline void WriteHeader(const Header& header, std::span<std::byte> bytes) {
  std::memcpy(bytes.data(), &header, sizeof(header));
}

}  // namespace sluice::apps
