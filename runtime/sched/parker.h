// parker.h - how a kthread sleeps until it is granted a core: by futex, or by the ksched module.
//
//   futex    sleeps while the generation word has the value of the last grant; whoever writes it wakes us.
//   ksched   a call gives our core back to the kernel and returns on the next one; the kernel binds us to it.
//
// Threads: the kthread's own pthread, Wake excepted.
#pragma once

#include <atomic>
#include <cstdint>
#include <ctime>

namespace sluice::sched {

class Parker {
 public:
  Parker() = default;
  ~Parker();
  Parker(const Parker&) = delete;
  Parker& operator=(const Parker&) = delete;

  // Makes the calling thread known to the module. Where that fails (no /dev/ksched in this container) it sleeps by
  // futex, and so does the IOKernel's backend for the whole app.
  void Enrol();

  // True: each park is one call of Sleep, which returns with the grant; the word need not be looked at before.
  [[nodiscard]] bool ByKsched() const { return ksched_; }

  // Sleeps until granted a core, or woken. By futex it may return early.
  void Sleep(const std::atomic<uint32_t>& word, uint32_t value);

  // Any thread: ends a sleep on `word` to which no grant will come. One that begins a moment later may miss it.
  void Wake(const std::atomic<uint32_t>& word);

 private:
  bool ksched_ = false;
  std::atomic<int> fd_{-1};
};

// Sleeps while the word has that value; not private to the process, for the waker is another one.
void FutexWait(const std::atomic<uint32_t>& word, uint32_t value, const timespec* timeout);
void FutexWake(const std::atomic<uint32_t>& word, int threads);

}  // namespace sluice::sched
