#include "iokernel/grant/threads.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <future>
#include <thread>

namespace sluice {
namespace {

TEST(VerifyThreads, OwnThreadsAreAccepted) {
  std::promise<pid_t> tid;
  std::promise<void> done;
  std::thread thread([&] {
    tid.set_value(gettid());
    done.get_future().wait();
  });
  const std::array<pid_t, 2> tids{gettid(), tid.get_future().get()};
  const auto verified = VerifyThreads(getpid(), tids);
  done.set_value();
  thread.join();
  EXPECT_TRUE(verified.has_value()) << verified.error();
}

TEST(VerifyThreads, AThreadOfAnotherProcessIsRefused) {
  const pid_t child = fork();
  if (child == 0) {
    pause();
    _exit(0);
  }
  ASSERT_GT(child, 0);
  const auto verified = VerifyThreads(getpid(), std::array<pid_t, 2>{gettid(), child});
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  ASSERT_FALSE(verified.has_value());
  EXPECT_EQ(verified.error(),
            "thread id " + std::to_string(child) + " is not a thread of process " + std::to_string(getpid()));
}

TEST(VerifyThreads, NonsenseIsRefused) {
  for (const pid_t tid : {0, -1, 0x7fffffff}) {
    EXPECT_FALSE(VerifyThreads(getpid(), std::array<pid_t, 1>{tid}).has_value()) << tid;
  }
}

TEST(VerifyThreads, OneThreadIsOneKthread) {
  const auto verified = VerifyThreads(getpid(), std::array<pid_t, 2>{gettid(), gettid()});
  ASSERT_FALSE(verified.has_value());
  EXPECT_EQ(verified.error(), "thread id " + std::to_string(gettid()) + " is named for two kthreads");
}

}  // namespace
}  // namespace sluice
