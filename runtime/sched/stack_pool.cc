#include "runtime/sched/stack_pool.h"

#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <new>

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

namespace sluice::sched {
namespace {

constexpr int kMadvGuardInstall = 102;  // MADV_GUARD_INSTALL, newer than this system's headers
constexpr size_t kPage = 4096;
constexpr uint32_t kStacksPerSlab = 64;
constexpr uint32_t kMostStacks = 1u << 22;
constexpr uint32_t kSpareMaps = 1024;  // memory maps left to the rest of the process
constexpr size_t kShift = 512;         // between the tops of neighbouring stacks, modulo a page
constexpr size_t kSmallestStack = 8192;
#ifdef SLUICE_FIBERS
constexpr size_t kSanitizerFactor = 4;  // its frames are larger
#else
constexpr size_t kSanitizerFactor = 1;
#endif

uint32_t MaxMapCount() {
  uint32_t count = 65530;
  std::ifstream("/proc/sys/vm/max_map_count") >> count;
  return count;
}

size_t RoundUp(size_t bytes) { return (bytes + kPage - 1) & ~(kPage - 1); }

}  // namespace

size_t SignalFrameBytes() { return std::max<size_t>(getauxval(AT_MINSIGSTKSZ), 2048); }

tl::expected<void, std::string> StackPool::Open(size_t stack_size, uint32_t max_stacks) {
  if (stack_size < kSmallestStack) {
    return tl::unexpected("a stack of " + std::to_string(stack_size) + " bytes is too small; at least " +
                          std::to_string(kSmallestStack));
  }
  stride_ = kGuardBytes + RoundUp(stack_size * kSanitizerFactor + SignalFrameBytes() + sizeof(Uthread)) + kPage;

  void* probe = mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (probe == MAP_FAILED) return tl::unexpected(std::string("no memory for stacks"));
  guard_install_ = madvise(probe, kPage, kMadvGuardInstall) == 0;
  munmap(probe, kPage);

  // Guards by mprotect cut a map in two, and each half counts.
  const uint32_t maps = MaxMapCount();
  const uint32_t limit = guard_install_ ? kMostStacks : (std::max(maps, 2 * kSpareMaps) - kSpareMaps) / 2;
  if (max_stacks > limit) {
    return tl::unexpected(std::to_string(max_stacks) + " uthreads are more than the " + std::to_string(limit) +
                          " that can have a guarded stack here: " +
                          (guard_install_ ? "ask for fewer"
                                          : "raise the limit with `sysctl vm.max_map_count=" +
                                                std::to_string(2 * uint64_t{max_stacks} + kSpareMaps) + "`"));
  }
  max_stacks_ = max_stacks == 0 ? limit : max_stacks;
  return {};
}

StackPool::~StackPool() {
  for (const Slab& slab : slabs_) {
    for (uint32_t i = 0; i < slab.carved; ++i) UthreadAt(slab, i)->fiber.Destroy();
    munmap(slab.memory, stride_ * kStacksPerSlab);
  }
}

Uthread* StackPool::TakeBatch() {
  const detail::SpinGuard guard(lock_);
  if (batches_ != nullptr) {
    Uthread* chain = batches_;
    batches_ = chain->next_batch;
    return chain;
  }
  Uthread* chain = nullptr;
  for (uint32_t i = 0; i < kBatch; ++i) {
    Uthread* uthread = Carve();
    if (uthread == nullptr) break;
    uthread->next = chain;
    chain = uthread;
  }
  return chain;
}

void StackPool::PutBatch(Uthread* chain) {
  const detail::SpinGuard guard(lock_);
  chain->next_batch = batches_;
  batches_ = chain;
}

// The next stack that has never been used; null: the limit, or the kernel refuses.
Uthread* StackPool::Carve() {
  if (carved_ == max_stacks_) return nullptr;
  if ((slabs_.empty() || slabs_.back().carved == kStacksPerSlab) && !AddSlab()) return nullptr;
  Slab& slab = slabs_.back();
  std::byte* guard = slab.memory + stride_ * slab.carved;
  if (!InstallGuard(guard)) return nullptr;
  Uthread* uthread = new (UthreadAt(slab, slab.carved)) Uthread;
  uthread->stack_bottom = guard + kGuardBytes;
  ++slab.carved;
  ++carved_;
  return uthread;
}

bool StackPool::AddSlab() {
  void* memory = mmap(nullptr, stride_ * kStacksPerSlab, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (memory == MAP_FAILED) return false;
  // A huge page would be cleared as a whole at the first touch of any of its stacks.
  madvise(memory, stride_ * kStacksPerSlab, MADV_NOHUGEPAGE);
  slabs_.push_back({static_cast<std::byte*>(memory), 0});
  return true;
}

bool StackPool::InstallGuard(std::byte* page) const {
  return guard_install_ ? madvise(page, kGuardBytes, kMadvGuardInstall) == 0
                        : mprotect(page, kGuardBytes, PROT_NONE) == 0;
}

// At the top of stack `index`, shifted.
Uthread* StackPool::UthreadAt(const Slab& slab, uint32_t index) const {
  const size_t shift = index * kShift % kPage;
  const uintptr_t top = reinterpret_cast<uintptr_t>(slab.memory) + stride_ * (index + 1) - shift - sizeof(Uthread);
  return reinterpret_cast<Uthread*>(top & ~uintptr_t{63});
}

bool StackCache::Refill() {
  free_ = pool_.TakeBatch();
  for (Uthread* u = free_; u != nullptr; u = u->next) ++count_;
  return free_ != nullptr;
}

void StackCache::Spill() {
  Uthread* chain = free_;
  Uthread* last = chain;
  for (uint32_t i = 1; i < StackPool::kBatch; ++i) last = last->next;
  free_ = last->next;
  last->next = nullptr;
  count_ -= StackPool::kBatch;
  pool_.PutBatch(chain);
}

}  // namespace sluice::sched
