// region.h - the shared memory of one app: a sealed memfd that the IOKernel makes, maps and keeps.
//
// Sealed against shrinking, growing and further seals, so its size is ours for ever. Seals do not stop the app
// from punching holes: the loop then meets zero pages, which is harmless, and faults them in. It is therefore
// never hugetlb, where a hole would be a SIGBUS; transparent huge pages are asked for by advice.
//
// Thread: control. Making it touches every page, so that the loop does not fault.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <tl/expected.hpp>

#include "iokernel/dataplane/guard.h"

namespace sluice {

class Region {
 public:
  // Error: a sentence.
  static tl::expected<Region, std::string> Make(const std::string& name, size_t bytes);
  Region(Region&& other) noexcept;
  Region& operator=(Region&&) = delete;
  ~Region();

  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] std::byte* base() const { return base_; }
  [[nodiscard]] size_t bytes() const { return bytes_; }
  // Bytes that have memory behind them; fewer than bytes() after the app has punched holes.
  [[nodiscard]] uint64_t resident_bytes() const;
  // True once an access to it has failed; it then reads as zeros (guard.h).
  [[nodiscard]] bool failed() const { return guard_.failed(); }

 private:
  Region() = default;
  int fd_ = -1;
  std::byte* base_ = nullptr;
  size_t bytes_ = 0;
  std::byte* reserved_ = nullptr;  // the whole mapping, of which base_ is the part aligned to a huge page
  size_t reserved_bytes_ = 0;
  MemoryGuard guard_;
};

}  // namespace sluice
