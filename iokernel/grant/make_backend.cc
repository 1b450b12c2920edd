// make_backend.cc - names to grant backends.
#include "iokernel/grant/make_backend.h"

namespace sluice {

tl::expected<ChosenBackend, std::string> MakeBackend(std::string_view name, const FutexOptions& options) {
  if (name == "futex") return ChosenBackend{std::make_unique<FutexBackend>(options), ""};
  if (name == "auto") {
    return ChosenBackend{std::make_unique<FutexBackend>(options),
                         "grants by futex: the ksched module is not in this build"};
  }
  if (name == "ksched")
    return tl::unexpected(std::string("grant backend ksched is not in this build; use auto or futex"));
  return tl::unexpected("unknown grant backend \"" + std::string(name) + "\"; known: auto, futex, ksched");
}

}  // namespace sluice
