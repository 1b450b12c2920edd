// server_client_test.cc - the clumsy and the hostile hold up nobody.
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>

#include <atomic>
#include <cstring>
#include <thread>

#include "tests/unit/control/server_fixture.h"

namespace sluice {
namespace {

using abi::AnswerCode;

TEST_F(ServerTest, WhoSaysNothingIsToldSoAndClosed) {
  options.first_message_ms = 20;
  Start();
  Client silent = Connected();
  const auto answer = silent.Receive<abi::AttachAnswer>();
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->code, AnswerCode::kDeadline);
  EXPECT_TRUE(silent.AtEnd());
}

TEST_F(ServerTest, WhoNeverNamesItsThreadsLosesItsRegion) {
  options.threads_ms = 20;
  Start();
  Client slow = Connected();
  slow.Send(AttachAs("a"));
  ASSERT_TRUE(slow.Receive<abi::AttachAnswer>().has_value());
  const auto answer = slow.Receive<abi::Answer>();
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->code, AnswerCode::kDeadline);
  EXPECT_TRUE(slow.AtEnd());
  Client next = Connected();
  EXPECT_EQ(next.Attach(AttachAs("b")).code, AnswerCode::kOk);
}

TEST_F(ServerTest, ManySilentConnectionsDoNotShutOthersOut) {
  options.max_connections = 8;
  options.first_message_ms = 3'600'000;
  Start();
  Client attached = Connected();
  ASSERT_EQ(attached.Attach(AttachAs("a")).code, AnswerCode::kOk);
  std::vector<Client> silent;
  silent.reserve(40);
  for (int i = 0; i < 40; ++i) silent.push_back(Connected());
  EXPECT_EQ(Ask("apps")["apps"].size(), 1u);
}

TEST_F(ServerTest, GarbageInALoopHoldsUpNobody) {
  Start();
  std::atomic<bool> done{false};
  std::thread hostile([&] {
    for (int i = 0; i < 2000 && !done; ++i) {
      Client client(dir.path() + "/run");
      if (!client.Connect()) continue;
      const std::vector<std::byte> garbage(64 + static_cast<size_t>(i) % 9000, std::byte{0xa5});
      for (int k = 0; k < 4; ++k) client.Send(garbage.data(), garbage.size());
    }
  });
  for (int i = 0; i < 20; ++i) {
    Client app = Connected();
    const auto attached = app.Attach(AttachAs("app-" + std::to_string(i)));
    EXPECT_EQ(attached.code, AnswerCode::kOk) << attached.sentence;
    app.Close();
    backend.AwaitReleased(static_cast<size_t>(i) + 1);  // the thread is free again
  }
  done = true;
  hostile.join();
}

TEST_F(ServerTest, DescriptorsThatAClientSendsAreNotKept) {
  Start();
  int pair[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
  Client app = Connected();
  abi::AttachRequest request = AttachAs("a");
  iovec io{&request, sizeof request};
  alignas(cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))] = {};
  msghdr header{};
  header.msg_iov = &io;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  cmsghdr* rights = CMSG_FIRSTHDR(&header);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(2 * sizeof(int));
  const int twice[] = {pair[1], pair[1]};
  std::memcpy(CMSG_DATA(rights), twice, sizeof twice);
  ASSERT_EQ(sendmsg(app.fd(), &header, 0), static_cast<ssize_t>(sizeof request));
  close(pair[1]);
  ASSERT_TRUE(app.Receive<abi::AttachAnswer>().has_value());
  // Nobody has the other end any more, though the app is still there.
  char byte;
  EXPECT_EQ(read(pair[0], &byte, 1), 0);
  close(pair[0]);
}

TEST_F(ServerTest, WithoutADescriptorLeftAClientIsTurnedAwayAndTheNextOneServed) {
  Start();
  // Nobody has asked before: a connection that the server is still about to close would leave a descriptor free.
  Client client(dir.path() + "/run");
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const FileDescriptor lowest_free(open("/dev/null", O_RDONLY | O_CLOEXEC));
  rlimit none = before;
  none.rlim_cur = static_cast<rlim_t>(lowest_free.get());
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  const bool connected = client.Connect();
  const bool turned_away = client.AtEnd();
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_TRUE(connected);
  EXPECT_TRUE(turned_away);
  EXPECT_EQ(Ask("apps")["apps"].size(), 0u);
}

TEST_F(ServerTest, WhoDoesNotReadItsAnswerIsClosedAndHoldsUpNobody) {
  options.send_ms = 20;
  options.fallbacks.assign(10'000, "a sentence about something that this machine lacks, and what is done instead");
  Start();
  Client deaf = Connected();
  abi::Query query{};
  query.head = {abi::kMagic, abi::kAbiVersion, abi::ControlType::kQuery};
  std::strcpy(query.what, "stat");
  deaf.Send(query);
  EXPECT_EQ(Ask("apps")["apps"].size(), 0u);
  // What was under way when it was closed can still be read; the end of the text cannot.
  pollfd closed{deaf.fd(), POLLRDHUP, 0};
  EXPECT_EQ(poll(&closed, 1, 20'000), 1);
  EXPECT_EQ(deaf.ReceiveText(), "");
}

}  // namespace
}  // namespace sluice
