#include "iokernel/dataplane/guard.h"

#include <signal.h>
#include <sys/mman.h>

#include <array>
#include <atomic>
#include <mutex>
#include <utility>

#include "policies/views.h"

namespace sluice {
namespace {

// Lock-free atomics, so a signal handler may use them.
struct Range {
  std::atomic<uintptr_t> begin{0};  // 0: the slot is free
  std::atomic<size_t> bytes{0};
  std::atomic<bool> failed{false};
};

// Attached apps, and as many again that are being made or freed.
std::array<Range, 2 * size_t{kMaxApps}> ranges;
std::atomic<uint32_t> failure_count{0};
struct sigaction before {};

// True if the access may be repeated.
bool Replace(uintptr_t address) {
  for (Range& range : ranges) {
    const uintptr_t begin = range.begin.load(std::memory_order_acquire);
    const size_t bytes = range.bytes.load(std::memory_order_relaxed);
    if (begin == 0 || address < begin || address - begin >= bytes) continue;
    void* zeros = mmap(reinterpret_cast<void*>(begin), bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    if (zeros == MAP_FAILED) return false;
    if (!range.failed.exchange(true, std::memory_order_relaxed)) failure_count.fetch_add(1, std::memory_order_relaxed);
    return true;
  }
  return false;
}

void OnSigbus(int, siginfo_t* info, void*) {
  if (Replace(reinterpret_cast<uintptr_t>(info->si_addr))) return;
  // The access is repeated under the handler there was before, or the default.
  sigaction(SIGBUS, &before, nullptr);
}

void InstallOnce() {
  static std::once_flag once;
  std::call_once(once, [] {
    struct sigaction action {};
    action.sa_sigaction = OnSigbus;
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    sigaction(SIGBUS, &action, &before);
  });
}

}  // namespace

MemoryGuard::MemoryGuard(std::byte* base, size_t bytes) {
  InstallOnce();
  for (size_t i = 0; i < ranges.size(); ++i) {
    uintptr_t free = 0;
    // Claimed with an address nothing has, so that two threads do not take one slot.
    if (!ranges[i].begin.compare_exchange_strong(free, ~uintptr_t{0})) continue;
    ranges[i].bytes.store(bytes, std::memory_order_relaxed);
    ranges[i].failed.store(false, std::memory_order_relaxed);
    // Release pairs with Replace's acquire: the length belongs to this range.
    ranges[i].begin.store(reinterpret_cast<uintptr_t>(base), std::memory_order_release);
    slot_ = static_cast<int>(i);
    return;
  }
}

MemoryGuard::MemoryGuard(MemoryGuard&& other) noexcept : slot_(std::exchange(other.slot_, -1)) {}

MemoryGuard& MemoryGuard::operator=(MemoryGuard&& other) noexcept {
  std::swap(slot_, other.slot_);
  return *this;
}

MemoryGuard::~MemoryGuard() {
  if (slot_ >= 0) ranges[static_cast<size_t>(slot_)].begin.store(0, std::memory_order_release);
}

bool MemoryGuard::failed() const {
  return slot_ >= 0 && ranges[static_cast<size_t>(slot_)].failed.load(std::memory_order_relaxed);
}

uint32_t MemoryGuard::failures() { return failure_count.load(std::memory_order_relaxed); }

}  // namespace sluice
