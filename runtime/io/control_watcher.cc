// control_watcher.cc - the helper pthread that notices when the IOKernel goes away. See control_client.h.
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "iokernel/abi/check.h"
#include "runtime/io/control_client.h"

namespace sluice::io {
namespace {

// Blocks every signal while a thread is made: the new thread inherits the mask. A signal that lands on the
// watcher would run a handler that believes itself on a kthread.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
};

// The IOKernel says nothing by itself but, perhaps, why it detaches this app: an Answer.
std::string LastWord(int socket) {
  abi::Answer answer{};
  const ssize_t size = recv(socket, &answer, sizeof(answer), MSG_DONTWAIT);
  if (size != sizeof(answer) || answer.head.magic != abi::kMagic || answer.head.type != abi::ControlType::kAnswer) {
    return {};
  }
  return std::string(answer.sentence, strnlen(answer.sentence, sizeof(answer.sentence)));
}

// Until the socket hangs up (true) or `stop` is raised (false).
bool AwaitHangUp(int socket, int stop, std::string* reason) {
  for (;;) {
    pollfd waiting[2] = {{socket, POLLIN, 0}, {stop, POLLIN, 0}};
    if (poll(waiting, 2, -1) < 0) {
      if (errno == EINTR) continue;
      return true;
    }
    if (waiting[1].revents != 0) return false;
    if ((waiting[0].revents & POLLIN) != 0) {
      char byte;
      if (recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0) {
        *reason = LastWord(socket);
        continue;
      }
    }
    if (waiting[0].revents != 0) return true;
  }
}

}  // namespace

void ControlClient::Watch(std::function<void()> gone) {
  stop_ = UniqueFd(eventfd(0, EFD_CLOEXEC));
  SLUICE_CHECK(stop_, "no eventfd to be had");
  SignalsBlocked blocked;
  // The thread has copies of the descriptors: this object may be moved meanwhile.
  watcher_ = std::thread([socket = socket_.get(), stop = stop_.get(), pid = iokernel_pid_, gone = std::move(gone)] {
    pthread_setname_np(pthread_self(), "sluice-watch");
    std::string reason;
    if (!AwaitHangUp(socket, stop, &reason)) return;
    if (reason.empty()) {
      std::fprintf(stderr, "sluice: iokerneld (pid %d) is gone; waiting for packets now fails\n", pid);
    } else {
      std::fprintf(stderr, "sluice: iokerneld (pid %d) detached this app: %s\n", pid, reason.c_str());
    }
    gone();
  });
}

void ControlClient::StopWatching() {
  if (!watcher_.joinable()) return;
  const uint64_t one = 1;
  SLUICE_CHECK(write(stop_.get(), &one, sizeof(one)) == sizeof(one), "the watcher's eventfd refuses a write");
  watcher_.join();
}

}  // namespace sluice::io
