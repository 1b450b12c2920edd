#include "iokernel/dataplane/region.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace sluice {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;

// From linux/memfd.h, Linux 6.3; older C libraries do not have it.
constexpr unsigned kMemfdNoexecSeal = 0x8;

int MakeMemfd(const std::string& name) {
  constexpr unsigned kFlags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  const int fd = memfd_create(name.c_str(), kFlags | kMemfdNoexecSeal);
  return fd >= 0 || errno != EINVAL ? fd : memfd_create(name.c_str(), kFlags);
}

std::string Failure(const char* what, size_t bytes) {
  return std::string("cannot ") + what + " an app's shared memory of " + std::to_string(bytes >> 10) +
         " KiB: " + std::strerror(errno);
}

}  // namespace

tl::expected<Region, std::string> Region::Make(const std::string& name, size_t bytes) {
  Region region;
  region.bytes_ = bytes;
  region.fd_ = MakeMemfd("sluice:" + name);
  if (region.fd_ < 0) return tl::unexpected(Failure("create", bytes));
  // Allocating now turns a machine without memory into an answer instead of a fault in the loop.
  if (fallocate(region.fd_, 0, 0, static_cast<off_t>(bytes)) != 0) return tl::unexpected(Failure("allocate", bytes));
  if (fcntl(region.fd_, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return tl::unexpected(Failure("seal", bytes));
  }

  region.reserved_bytes_ = bytes + kHugePage;
  void* reserved = mmap(nullptr, region.reserved_bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (reserved == MAP_FAILED) return tl::unexpected(Failure("reserve addresses for", bytes));
  region.reserved_ = static_cast<std::byte*>(reserved);
  const auto start = reinterpret_cast<uintptr_t>(reserved);
  auto* const aligned = reinterpret_cast<void*>((start + kHugePage - 1) & ~(kHugePage - 1));
  void* base = mmap(aligned, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, region.fd_, 0);
  if (base == MAP_FAILED) return tl::unexpected(Failure("map", bytes));
  region.base_ = static_cast<std::byte*>(base);
  region.guard_ = MemoryGuard(region.base_, bytes);
  if (!region.guard_.active()) return tl::unexpected(std::string("too many apps are being made and freed at once"));
  // Advice: it is fine if the kernel has no huge pages for shared memory.
  (void)madvise(base, bytes, MADV_HUGEPAGE);
  (void)madvise(base, bytes, MADV_DONTFORK);
  // Populate for writing; kernels before 5.14 do not know it, and then each page is touched by hand.
  if (madvise(base, bytes, MADV_POPULATE_WRITE) != 0) {
    for (size_t at = 0; at < bytes; at += 4096) region.base_[at] = std::byte{0};
  }
  return region;
}

Region::Region(Region&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      base_(std::exchange(other.base_, nullptr)),
      bytes_(other.bytes_),
      reserved_(std::exchange(other.reserved_, nullptr)),
      reserved_bytes_(other.reserved_bytes_),
      guard_(std::move(other.guard_)) {}

Region::~Region() {
  guard_ = MemoryGuard();
  if (reserved_ != nullptr) munmap(reserved_, reserved_bytes_);
  if (fd_ >= 0) close(fd_);
}

uint64_t Region::resident_bytes() const {
  struct stat status {};
  return fstat(fd_, &status) == 0 ? static_cast<uint64_t>(status.st_blocks) * 512 : 0;
}

}  // namespace sluice
