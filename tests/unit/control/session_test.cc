// session_test.cc - one connection: what it sends and takes when the other side is slow.
#include "iokernel/control/session.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "iokernel/abi/control.h"

namespace sluice {
namespace {

struct Pair {
  Pair() {
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0) std::abort();
    session.emplace(FileDescriptor(fds[0]), Peer{});
    other = FileDescriptor(fds[1]);
  }
  std::optional<Session> session;
  FileDescriptor other;
};

TEST(SessionTest, WhatDoesNotFitWaitsAndComesInOrder) {
  Pair pair;
  constexpr int kMessages = 2000;
  for (int i = 0; i < kMessages; ++i) pair.session->Send(std::vector<std::byte>(4096, static_cast<std::byte>(i)));
  EXPECT_EQ(pair.session->Flush(), Session::Sent::kSome);
  std::byte buffer[8192];
  for (int i = 0; i < kMessages; ++i) {
    ssize_t got = recv(pair.other.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    if (got < 0) {
      ASSERT_NE(pair.session->Flush(), Session::Sent::kGone);
      got = recv(pair.other.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    }
    ASSERT_EQ(got, 4096);
    ASSERT_EQ(buffer[0], static_cast<std::byte>(i));
  }
  EXPECT_EQ(pair.session->Flush(), Session::Sent::kAll);
}

TEST(SessionTest, AMessageLongerThanAllowedIsNotCutShort) {
  Pair pair;
  const std::vector<std::byte> longest(abi::kMaxControlMessage), longer(abi::kMaxControlMessage + 1);
  std::span<const std::byte> message;
  ASSERT_GT(send(pair.other.get(), longest.data(), longest.size(), 0), 0);
  EXPECT_EQ(pair.session->Receive(&message), Session::Received::kMessage);
  EXPECT_EQ(message.size(), longest.size());
  ASSERT_GT(send(pair.other.get(), longer.data(), longer.size(), 0), 0);
  EXPECT_EQ(pair.session->Receive(&message), Session::Received::kTooLong);
  EXPECT_EQ(pair.session->Receive(&message), Session::Received::kNothing);
  pair.other.Close();
  EXPECT_EQ(pair.session->Receive(&message), Session::Received::kGone);
}

// Closing with unread messages would turn the peer's next read into ECONNRESET, and our answer would be lost.
TEST(SessionTest, TheLastAnswerIsReadableThoughMessagesWereLeftUnread) {
  Pair pair;
  const char text[] = "more";
  for (int i = 0; i < 10; ++i) ASSERT_GT(send(pair.other.get(), text, sizeof text, 0), 0);
  pair.session->Send(std::vector<std::byte>(5));
  EXPECT_EQ(pair.session->Flush(), Session::Sent::kAll);
  pair.session->Drain();
  pair.session.reset();
  char buffer[16];
  EXPECT_EQ(recv(pair.other.get(), buffer, sizeof buffer, 0), 5);
  EXPECT_EQ(recv(pair.other.get(), buffer, sizeof buffer, 0), 0);
}

}  // namespace
}  // namespace sluice
