#include "iokernel/grant/ksched_device.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace sluice {
namespace {

std::string WhyNot(int error) {
  switch (error) {
    case ENOENT:
      return "there is no " KSCHED_DEVICE " (modprobe ksched; ksched/README.md says how to build it)";
    case EBUSY:
      return "another process holds " KSCHED_DEVICE;
    case EPERM:
    case EACCES:
      return KSCHED_DEVICE " may not be claimed: run as root, or in the group of the module's parameter";
    case EPROTO:
      return "the loaded ksched module speaks another version: load the one of this build";
    default:
      return KSCHED_DEVICE ": " + std::string(std::strerror(error));
  }
}

}  // namespace

tl::expected<std::unique_ptr<KschedDevice>, std::string> KschedDevice::Claim() {
  auto device = std::unique_ptr<KschedDevice>(new KschedDevice);
  device->fd_ = open(KSCHED_DEVICE, O_RDWR | O_CLOEXEC);
  ksched_claim claim{.version = KSCHED_ABI_VERSION, .cpus = 0};
  if (device->fd_ < 0 || ioctl(device->fd_, KSCHED_IOC_CLAIM, &claim) != 0) return tl::unexpected(WhyNot(errno));
  device->cpus_ = claim.cpus;
  device->generations_.resize(claim.cpus);
  void* requests = device->Map(KSCHED_MAP_REQUESTS, sizeof(ksched_request), PROT_READ | PROT_WRITE);
  void* status = device->Map(KSCHED_MAP_STATUS, sizeof(ksched_status), PROT_READ);
  void* stats = device->Map(KSCHED_MAP_STATS, sizeof(ksched_stats), PROT_READ);
  device->requests_ = static_cast<ksched_request*>(requests);
  device->status_ = static_cast<const ksched_status*>(status);
  device->stats_ = static_cast<const ksched_stats*>(stats);
  if (requests == nullptr || status == nullptr || stats == nullptr) return tl::unexpected(WhyNot(errno));
  return device;
}

KschedDevice::~KschedDevice() {
  const auto unmap = [this](const void* memory, size_t entry) {
    if (memory != nullptr) munmap(const_cast<void*>(memory), entry * cpus_);
  };
  unmap(requests_, sizeof(ksched_request));
  unmap(status_, sizeof(ksched_status));
  unmap(stats_, sizeof(ksched_stats));
  if (fd_ >= 0) close(fd_);
}

void* KschedDevice::Map(size_t offset, size_t bytes, int protection) const {
  void* memory = mmap(nullptr, bytes * cpus_, protection, MAP_SHARED, fd_, static_cast<off_t>(offset));
  return memory == MAP_FAILED ? nullptr : memory;
}

tl::expected<uint32_t, int> KschedDevice::Adopt(pid_t process, pid_t thread) {
  ksched_adopt adopt{.tgid = process, .tid = thread, .handle = 0, .reserved = 0};
  if (ioctl(fd_, KSCHED_IOC_ADOPT, &adopt) != 0) return tl::unexpected(errno);
  return adopt.handle;
}

int KschedDevice::Release(uint32_t handle) { return ioctl(fd_, KSCHED_IOC_RELEASE, handle) == 0 ? 0 : errno; }
int KschedDevice::Evict(uint32_t handle) { return ioctl(fd_, KSCHED_IOC_EVICT, handle) == 0 ? 0 : errno; }
int KschedDevice::Kick(uint32_t cpu) { return ioctl(fd_, KSCHED_IOC_KICK, cpu) == 0 ? 0 : errno; }

int KschedDevice::KickAll(std::span<const uint32_t> cpus) {
  ksched_mask mask{};
  for (const uint32_t cpu : cpus) mask.bits[cpu / 64] |= uint64_t{1} << (cpu % 64);
  return ioctl(fd_, KSCHED_IOC_KICK_MASK, &mask) == 0 ? 0 : errno;
}

uint32_t KschedDevice::Grant(uint32_t cpu, uint32_t handle, uint64_t issued) {
  const uint32_t generation = ++generations_[cpu];
  ksched_request& request = requests_[cpu];
  __atomic_store_n(&request.issued, issued, __ATOMIC_RELAXED);
  // Pairs with the acquire in the module's serve(); and with what Watching reads next.
  __atomic_store_n(&request.grant, KSCHED_GRANT(handle, generation), __ATOMIC_SEQ_CST);
  return generation;
}

void KschedDevice::Cede(uint32_t cpu, uint32_t generation) {
  __atomic_store_n(&requests_[cpu].cede, generation, __ATOMIC_SEQ_CST);
}

void KschedDevice::Yield(uint32_t cpu) {
  __atomic_store_n(&requests_[cpu].yield, requests_[cpu].yield + 1, __ATOMIC_SEQ_CST);
}

bool KschedDevice::Watching(uint32_t cpu) const {
  // The request first, then the flag; the core that watches goes the other way round. (Not a fence: ThreadSanitizer has
  // none.)
  return __atomic_load_n(&status_[cpu].watching, __ATOMIC_SEQ_CST) != 0;
}

uint32_t KschedDevice::Served(uint32_t cpu) const { return __atomic_load_n(&status_[cpu].served, __ATOMIC_ACQUIRE); }
int KschedDevice::Outcome(uint32_t cpu) const { return __atomic_load_n(&status_[cpu].outcome, __ATOMIC_RELAXED); }
uint32_t KschedDevice::Holder(uint32_t cpu) const { return __atomic_load_n(&status_[cpu].holder, __ATOMIC_ACQUIRE); }

ksched_stats KschedDevice::Stats(uint32_t cpu) const {
  ksched_stats copy{};
  const auto* from = reinterpret_cast<const uint64_t*>(&stats_[cpu]);
  auto* to = reinterpret_cast<uint64_t*>(&copy);
  for (size_t i = 0; i < sizeof(copy) / sizeof(uint64_t); ++i) to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
  return copy;
}

}  // namespace sluice
