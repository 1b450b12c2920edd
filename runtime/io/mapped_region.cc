// mapped_region.cc - see mapped_region.h.
#include "runtime/io/mapped_region.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace sluice::io {
namespace {

constexpr int kNeededSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

tl::unexpected<std::string> Refuse(std::string sentence) { return tl::unexpected(std::move(sentence)); }

}  // namespace

std::string FaultOf(const abi::RegionHeader& header, uint64_t bytes, uint64_t epoch) {
  if (header.magic != abi::kMagic) return "the region does not begin with Sluice's magic number";
  if (header.version != abi::kAbiVersion) {
    return "the region has ABI version " + std::to_string(header.version) + ", this program speaks " +
           std::to_string(abi::kAbiVersion);
  }
  if (header.header_bytes != sizeof(abi::RegionHeader)) {
    return "the region's header has " + std::to_string(header.header_bytes) + " bytes, expected " +
           std::to_string(sizeof(abi::RegionHeader));
  }
  if (!abi::RegionLayout::Valid(header.geometry)) return "the region's geometry is out of bounds";
  const uint64_t needed = abi::RegionLayout(header.geometry).bytes();
  if (header.bytes != bytes || needed != bytes) {
    return "the region has " + std::to_string(bytes) + " bytes, its header says " + std::to_string(header.bytes) +
           ", its geometry needs " + std::to_string(needed);
  }
  if (header.epoch != epoch) {
    return "the region is of attach epoch " + std::to_string(header.epoch) + ", the answer of " + std::to_string(epoch);
  }
  if (header.mtu < 68 || header.mtu > header.geometry.buffer_size) {  // RFC 791: every link carries 68 bytes
    return "an MTU of " + std::to_string(header.mtu) + " does not fit buffers of " +
           std::to_string(header.geometry.buffer_size) + " bytes";
  }
  if (header.delivery != static_cast<uint32_t>(abi::Delivery::kDirect)) {
    return "delivery mode " + std::to_string(header.delivery) + " is not one of this program's";
  }
  if (header.tsc_hz == 0) return "the region does not say how fast the clock ticks";
  return {};
}

tl::expected<MappedRegion, std::string> MappedRegion::Map(int fd, uint64_t bytes, uint64_t epoch) {
  struct stat status {};
  if (fstat(fd, &status) != 0) return Refuse(std::string("the region cannot be examined: ") + std::strerror(errno));
  if (static_cast<uint64_t>(status.st_size) != bytes || bytes < abi::kRegionPage) {
    return Refuse("the region's file has " + std::to_string(status.st_size) + " bytes, the answer says " +
                  std::to_string(bytes));
  }
  const int seals = fcntl(fd, F_GET_SEALS);
  if (seals < 0 || (seals & kNeededSeals) != kNeededSeals) {
    return Refuse("the region's file is not sealed against being resized");
  }
  // Populated at once: the data path takes no page faults.
  void* base = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
  if (base == MAP_FAILED) {
    return Refuse("the region of " + std::to_string(bytes) + " bytes cannot be mapped: " + std::strerror(errno));
  }
  // One process speaks for an app: a child that is forked and uses the runtime crashes, and its parent goes on.
  madvise(base, bytes, MADV_DONTFORK);
  const auto& header = *static_cast<const abi::RegionHeader*>(base);
  if (std::string fault = FaultOf(header, bytes, epoch); !fault.empty()) {
    munmap(base, bytes);
    return Refuse(std::move(fault));
  }
  MappedRegion region;
  region.view_.base = static_cast<std::byte*>(base);
  region.view_.layout = abi::RegionLayout(header.geometry);
  return region;
}

MappedRegion& MappedRegion::operator=(MappedRegion&& other) noexcept {
  std::swap(view_, other.view_);
  return *this;
}

MappedRegion::~MappedRegion() {
  if (view_.base != nullptr) munmap(view_.base, view_.layout.bytes());
}

}  // namespace sluice::io
