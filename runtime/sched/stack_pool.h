// stack_pool.h - uthreads with their stacks: cut from slabs, guarded, used again for ever.
//
// A stack is a guard page, then the stack, then the Uthread at the top. Tops are shifted against each other, so that
// the hottest lines of many uthreads do not fall into the same cache sets. Guards are MADV_GUARD_INSTALL where the
// kernel has it (6.13); with mprotect each stack costs two memory maps, of which vm.max_map_count allows 65530.
//
// Threads: a StackCache belongs to a kthread (preemption off); the pool's members may be called by any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "runtime/sched/uthread.h"
#include "sluice/detail/wait_queue.h"

namespace sluice::sched {

// What the kernel may put on a stack to deliver a signal.
[[nodiscard]] size_t SignalFrameBytes();

class StackPool {
 public:
  static constexpr uint32_t kBatch = 32;       // stacks that change hands together
  static constexpr size_t kGuardBytes = 4096;  // below each stack

  // `max_stacks` 0: as many as the kernel's limits allow. Error: a sentence with the way out.
  tl::expected<void, std::string> Open(size_t stack_size, uint32_t max_stacks);
  ~StackPool();

  // A chain of 1 to kBatch uthreads, linked by `next`; null: the limit is reached, or the kernel refuses.
  Uthread* TakeBatch();
  // Gives back a chain that TakeBatch might have returned.
  void PutBatch(Uthread* chain);

  [[nodiscard]] uint32_t max_stacks() const { return max_stacks_; }

 private:
  struct Slab {
    std::byte* memory;
    uint32_t carved;
  };

  Uthread* Carve();
  bool AddSlab();
  [[nodiscard]] bool InstallGuard(std::byte* page) const;
  [[nodiscard]] Uthread* UthreadAt(const Slab& slab, uint32_t index) const;

  detail::SpinLock lock_;
  Uthread* batches_ = nullptr;  // linked by `next_batch`
  std::vector<Slab> slabs_;
  size_t stride_ = 0;  // bytes from one stack to the next
  uint32_t max_stacks_ = 0;
  uint32_t carved_ = 0;
  bool guard_install_ = false;
};

// The free stacks of one kthread.
class StackCache {
 public:
  explicit StackCache(StackPool& pool) : pool_(pool) {}

  Uthread* Take() {
    if (free_ == nullptr && !Refill()) [[unlikely]]
      return nullptr;
    Uthread* uthread = free_;
    free_ = uthread->next;
    --count_;
    return uthread;
  }
  void Put(Uthread* uthread) {
    uthread->next = free_;
    free_ = uthread;
    if (++count_ >= 2 * StackPool::kBatch) [[unlikely]]
      Spill();
  }

 private:
  bool Refill();
  void Spill();

  StackPool& pool_;
  Uthread* free_ = nullptr;
  uint32_t count_ = 0;
};

}  // namespace sluice::sched
