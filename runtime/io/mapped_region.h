// mapped_region.h - the region that the IOKernel handed over, checked and mapped. Unmapped with the object.
//
// The memfd came from the daemon that this app chose to trust, so the checks look for a daemon of another build or a
// broken one, not for an attacker: everything that later code computes addresses from is copied and checked here once.
#pragma once

#include <cstdint>
#include <string>
#include <tl/expected.hpp>

#include "runtime/io/region_view.h"

namespace sluice::io {

class MappedRegion {
 public:
  // `fd` stays the caller's. `bytes` and `epoch` are what the attach answer said. Error: a sentence.
  static tl::expected<MappedRegion, std::string> Map(int fd, uint64_t bytes, uint64_t epoch);

  MappedRegion() = default;
  MappedRegion(MappedRegion&& other) noexcept { *this = std::move(other); }
  MappedRegion& operator=(MappedRegion&& other) noexcept;
  ~MappedRegion();

  [[nodiscard]] const RegionView& view() const { return view_; }

 private:
  RegionView view_;
};

// What is wrong with a region's header; empty if nothing. `bytes`: of the file. For Map and its tests.
[[nodiscard]] std::string FaultOf(const abi::RegionHeader& header, uint64_t bytes, uint64_t epoch);

}  // namespace sluice::io
