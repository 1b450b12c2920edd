#include "runtime/sched/parker.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "iokernel/abi/cede_signal.h"
#include "ksched/ksched_uapi.h"

namespace sluice::sched {

void FutexWait(const std::atomic<uint32_t>& word, uint32_t value, const timespec* timeout) {
  syscall(SYS_futex, &word, FUTEX_WAIT, value, timeout, nullptr, 0);
}

void FutexWake(const std::atomic<uint32_t>& word, int threads) {
  syscall(SYS_futex, &word, FUTEX_WAKE, threads, nullptr, nullptr, 0);
}

Parker::~Parker() {
  if (fd_ >= 0) close(fd_);
}

void Parker::Enrol() {
  const int fd = open(KSCHED_DEVICE, O_RDWR | O_CLOEXEC);
  if (fd < 0) return;
  ksched_enrol enrol{KSCHED_ABI_VERSION, abi::kCedeSignal, abi::kCedeSignal, 0};
  ksched_ = ioctl(fd, KSCHED_IOC_ENROL, &enrol) == 0;
  fd_.store(fd, std::memory_order_release);
}

void Parker::Sleep(const std::atomic<uint32_t>& word, uint32_t value) {
  if (!ksched_) return FutexWait(word, value, nullptr);
  while (ioctl(fd_.load(std::memory_order_relaxed), KSCHED_IOC_PARK) != 0) {
    if (errno == EINTR) continue;
    // ECANCELED: Wake. Else the IOKernel is gone, or has let go of us: the control socket will tell.
    ksched_ = errno == ECANCELED;
    return;
  }
}

void Parker::Wake(const std::atomic<uint32_t>& word) {
  const int fd = fd_.load(std::memory_order_acquire);
  if (fd >= 0) ioctl(fd, KSCHED_IOC_UNPARK);
  FutexWake(word, 1);
}

}  // namespace sluice::sched
