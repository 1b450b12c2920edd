// guard.h - what happens when an app's memory fails under us: the app is dead, everything else goes on.
//
// A region is sealed and never hugetlb, so a hole that its app punches reads as zeros. What remains is memory that
// cannot be had back for such a hole (the machine or a cgroup is full), or that is broken: then an access raises
// SIGBUS. The handler puts private zero pages in the place of the whole region and lets the access run again; the
// loop notices in its next pass and lets go of the app. Zeros are nothing that a hostile app could not have written,
// so nothing needs to be undone, wherever the access was: in the packet path, in the middle of a pass of the
// allocator, or on the control thread. (A jump out of there would leave half-done state behind.)
//
// A SIGBUS anywhere else goes to whoever handled it before, and the process dies of it as it would have.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sluice {

// One guarded range of memory, for as long as it lives. Control thread makes and ends it; any thread may ask.
class MemoryGuard {
 public:
  MemoryGuard() = default;
  MemoryGuard(std::byte* base, size_t bytes);
  MemoryGuard(MemoryGuard&& other) noexcept;
  MemoryGuard& operator=(MemoryGuard&& other) noexcept;
  ~MemoryGuard();

  // False if there are too many of them.
  [[nodiscard]] bool active() const { return slot_ >= 0; }
  // True once this memory has failed.
  [[nodiscard]] bool failed() const;
  // How many ranges have failed since the process started: cheap to watch.
  [[nodiscard]] static uint32_t failures();

 private:
  int slot_ = -1;
};

}  // namespace sluice
