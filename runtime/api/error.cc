// error.cc - see sluice/error.h.
#include "sluice/error.h"

namespace sluice {

std::string_view ToString(Error error) {
  switch (error) {
    case Error::kTimedOut:
      return "the deadline passed first";
    case Error::kIoKernelGone:
      return "iokerneld is gone";
    case Error::kAddressInUse:
      return "another socket of this app holds the port";
    case Error::kNoPorts:
      return "no ephemeral port is free";
    case Error::kNotConnected:
      return "the socket is not connected";
    case Error::kMessageTooBig:
      return "the message is larger than the MTU allows";
    case Error::kQueueFull:
      return "the transmit ring stayed full";
    case Error::kClosed:
      return "the socket is closed";
    case Error::kInvalid:
      return "an argument is out of its range";
    case Error::kRefused:
      return "iokerneld refused";
    case Error::kSystem:
      return "the operating system refused";
  }
  return "unknown error";
}

}  // namespace sluice
