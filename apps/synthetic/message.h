// message.h - a request of the synthetic load and its reply: the same bytes, with two fields filled in.
//
// Fields are in the machine's byte order: both ends are this program. What follows the message is padding, which
// the server echoes.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

#include "apps/lib/transport.h"

namespace sluice::apps {

struct Message {
  static constexpr uint32_t kRequest = 0x51ce0001;
  static constexpr uint32_t kReply = 0x51ce0002;

  uint32_t type = kRequest;
  uint32_t run = 0;       // tells one client's requests from those of an earlier one
  uint32_t flow = 0;      // of the client's, from 0
  uint32_t sequence = 0;  // within the flow, from 1
  uint64_t due_ns = 0;    // when it was to be sent, after the client's start
  uint32_t service_ns = 0;
  uint16_t steered = kNoKthread;    // reply: the kthread that the request was steered to
  uint16_t executing = kNoKthread;  // reply: the kthread that served it
};
static_assert(sizeof(Message) == 32);

[[nodiscard]] inline std::optional<Message> ReadMessage(std::span<const std::byte> bytes, uint32_t type) {
  Message message;
  if (bytes.size() < sizeof(message)) return {};
  std::memcpy(&message, bytes.data(), sizeof(message));
  if (message.type != type) return {};
  return message;
}

// `bytes` has room for a Message.
inline void WriteMessage(const Message& message, std::span<std::byte> bytes) {
  std::memcpy(bytes.data(), &message, sizeof(message));
}

}  // namespace sluice::apps
