// make_backend.cc - names to grant backends.
#include "iokernel/grant/make_backend.h"

#include <algorithm>

#include "iokernel/grant/ksched.h"

namespace sluice {
namespace {

tl::expected<std::unique_ptr<GrantBackend>, std::string> MakeKsched(const FutexOptions& options) {
  std::vector<uint16_t> cpus = options.core_cpus;
  std::sort(cpus.begin(), cpus.end());
  if (std::adjacent_find(cpus.begin(), cpus.end()) != cpus.end()) {
    return tl::unexpected(std::string("ksched wants a CPU for each core slot"));
  }
  auto device = KschedDevice::Claim();
  if (!device) return tl::unexpected(device.error());
  if (cpus.back() >= (*device)->cpus()) {
    return tl::unexpected("the kernel has no CPU " + std::to_string(cpus.back()));
  }
  return std::make_unique<KschedBackend>(std::move(*device), options);
}

}  // namespace

tl::expected<ChosenBackend, std::string> MakeBackend(std::string_view name, const FutexOptions& options) {
  if (name == "futex") return ChosenBackend{std::make_unique<FutexBackend>(options), ""};
  if (name != "auto" && name != "ksched") {
    return tl::unexpected("unknown grant backend \"" + std::string(name) + "\"; known: auto, futex, ksched");
  }
  auto ksched = MakeKsched(options);
  if (ksched) return ChosenBackend{std::move(*ksched), ""};
  if (name == "ksched") return tl::unexpected("grant backend ksched: " + ksched.error());
  return ChosenBackend{std::make_unique<FutexBackend>(options), "grants by futex: " + ksched.error()};
}

}  // namespace sluice
