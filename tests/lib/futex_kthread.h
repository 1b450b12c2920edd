// futex_kthread.h - a real thread at the app's end of the grant handshake, for tests and benches of the backend.
#pragma once

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <fstream>
#include <string>
#include <thread>

#include "iokernel/abi/grant.h"

namespace sluice::test {

// A shared futex, as the backend wakes it.
inline void FutexWait(const std::atomic<uint32_t>& word, uint32_t value) {
  syscall(SYS_futex, &word, FUTEX_WAIT, value, nullptr, nullptr, 0);
}

// True once the thread sleeps in the kernel; gives up after a great many looks.
inline bool WaitUntilAsleep(pid_t pid, pid_t tid) {
  const std::string path = "/proc/" + std::to_string(pid) + "/task/" + std::to_string(tid) + "/stat";
  for (int i = 0; i < 1'000'000; i++) {
    std::string text;
    std::getline(std::ifstream(path), text);
    const size_t name_end = text.rfind(')');
    if (name_end != std::string::npos && text[name_end + 2] == 'S') return true;
    sched_yield();
  }
  return false;
}

// Waits for grants; at each it calls `work` and parks again. Stop it while it is parked.
class FutexKthread {
 public:
  template <class Work>
  explicit FutexKthread(Work work)
      : thread_([this, work] {
          tid_.store(gettid());
          tid_.notify_all();
          abi::GrantHolder holder(&signal, &grant);
          const auto wait = [&](const std::atomic<uint32_t>& word, uint32_t value) {
            if (stop_.load()) return false;
            FutexWait(word, value);
            return !stop_.load();
          };
          while (holder.AwaitGrant(wait)) {
            work(holder);
            holder.Park({});
          }
        }) {
    tid_.wait(0);
  }
  ~FutexKthread() {
    stop_.store(true);
    grant.generation.fetch_add(1);
    syscall(SYS_futex, &grant.generation, FUTEX_WAKE, 1, nullptr, nullptr, 0);
    thread_.join();
  }

  [[nodiscard]] pid_t tid() const { return static_cast<pid_t>(tid_.load()); }

  abi::SignalLine signal{};
  abi::GrantLine grant{};

 private:
  std::atomic<int> tid_{0};
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace sluice::test
