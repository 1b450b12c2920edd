// version.h - the version and feature bits of the contract between the IOKernel and the runtimes.
//
// Both sides are separate programs that may have been built on different days. They meet only through
// the control socket (control.h) and one shared region (region.h). A change of any layout or meaning
// there raises kAbiVersion; tests/unit/abi/layout_test.cc pins the layout and fails otherwise.
#pragma once

#include <cstdint>

namespace sluice::abi {

inline constexpr uint64_t kMagic = 0x31656369756c53ULL;  // "Sluice1", little-endian
inline constexpr uint32_t kAbiVersion = 1;

// Feature bits are offered in the attach request and granted in the answer. Unknown bits are ignored.
enum Feature : uint64_t {
  kFeatureUthreadEvents = 1u << 0,  // reserved: uthread ready/run/park messages (Hermes, section 4)
  kFeaturePipes = 1u << 1,          // reserved: per-uthread data pipes (Hermes, section 3)
  kFeatureFlowInstall = 1u << 2,    // reserved: the runtime installs flows (active locality)
  kFeatureRestart = 1u << 3,        // reserved: the app re-attaches after the IOKernel went away
  kFeatureKsched = 1u << 4,         // kthreads enrol with, and park through, the ksched module where they can
  kFeatureSlices = 1u << 5,         // offered: uthreads can be given time slices; granted: they are
};

// What this version implements.
inline constexpr uint64_t kFeatures = kFeatureKsched | kFeatureSlices;

// How packet data reaches the app.
enum class Delivery : uint32_t {
  kDirect = 0,      // one frame per RX buffer, one message per frame
  kIndirect = 1,    // reserved (Hermes)
  kSemiDirect = 2,  // reserved (Hermes)
};

}  // namespace sluice::abi
