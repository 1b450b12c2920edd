// threads.cc - thread ids against /proc.
#include "iokernel/grant/threads.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

namespace sluice {

tl::expected<void, std::string> VerifyThreads(pid_t pid, std::span<const pid_t> tids) {
  const std::string task = "/proc/" + std::to_string(pid) + "/task/";
  for (const pid_t tid : tids) {
    if (tid <= 0 || access((task + std::to_string(tid)).c_str(), F_OK) != 0) {
      return tl::unexpected("thread id " + std::to_string(tid) + " is not a thread of process " + std::to_string(pid));
    }
  }
  std::vector<pid_t> sorted(tids.begin(), tids.end());
  std::sort(sorted.begin(), sorted.end());
  if (const auto twice = std::adjacent_find(sorted.begin(), sorted.end()); twice != sorted.end()) {
    return tl::unexpected("thread id " + std::to_string(*twice) + " is named for two kthreads");
  }
  return {};
}

int ApplyPriority(pid_t tid, Priority priority) {
  const int wanted = priority == Priority::kBestEffort ? SCHED_IDLE : SCHED_OTHER;
  const int policy = sched_getscheduler(tid);
  if (policy < 0) return errno;
  if (policy == wanted || (wanted != SCHED_IDLE && policy != SCHED_IDLE)) return 0;
  const sched_param param{};
  return sched_setscheduler(tid, wanted, &param) == 0 ? 0 : errno;
}

}  // namespace sluice
