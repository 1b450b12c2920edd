// error.h - what can go wrong in a call of the runtime, as a value.
#pragma once

#include <cstdint>
#include <string_view>
#include <tl/expected.hpp>

namespace sluice {

enum class Error : uint8_t {
  kTimedOut,       // the deadline passed first
  kIoKernelGone,   // iokerneld stopped, or detached this app
  kAddressInUse,   // another socket of this app holds the port
  kNoPorts,        // no ephemeral port is free
  kNotConnected,   // Send on a socket without a peer
  kMessageTooBig,  // larger than the MTU allows
  kQueueFull,      // the transmit ring stayed full
  kClosed,         // the socket was closed or shut down meanwhile
  kInvalid,        // an argument is out of its range
  kRefused,        // iokerneld refused; the sentence was printed
  kSystem,         // the operating system refused; errno says why
};

// A short English phrase: "the transmit ring stayed full".
[[nodiscard]] std::string_view ToString(Error error);

template <class T>
using Expected = tl::expected<T, Error>;

}  // namespace sluice
