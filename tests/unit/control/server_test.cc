// server_test.cc - the control thread against well-behaved, clumsy, hostile and dying apps, over a real socket.
#include "iokernel/control/server.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <atomic>
#include <nlohmann/json.hpp>
#include <thread>

#include "apps/sluicectl/query.h"
#include "apps/sluicectl/tables.h"
#include "iokernel/abi/region.h"
#include "iokernel/control/instance.h"
#include "iokernel/control/log.h"
#include "tests/unit/control/client.h"
#include "tests/unit/control/fakes.h"
#include "tests/unit/control/machine.h"
#include "tests/unit/control/temp_dir.h"

namespace sluice {
namespace {

using abi::AnswerCode;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

const std::string kMe = "pid " + std::to_string(getpid()) + " (control_test)";

class ServerTest : public testing::Test {
 protected:
  ServerTest() {
    SetLogQuiet(true);
    const Checked checked = CheckToml(R"(
[iokernel]
cores = ["1-3"]
[net]
address = "10.0.0.1/29"
[[app]]
name = "fixed"
address = "10.0.0.5"
guaranteed = 1
)");
    EXPECT_THAT(checked.errors, testing::IsEmpty());
    options.config = checked.config;
  }
  ~ServerTest() override { Stop(); }

  void Start() {
    auto acquired = Instance::Acquire(dir.path() + "/run", PortConfig{PortKind::kNull, "null", ""});
    ASSERT_TRUE(acquired.has_value());
    instance.emplace(std::move(*acquired));
    server.emplace(options, instance->control_fd(), stop.get(), dataplane, backend);
    thread = std::thread([this] { server->Run(); });
  }
  void Stop() {
    if (!thread.joinable()) return;
    const uint64_t one = 1;
    ASSERT_EQ(write(stop.get(), &one, sizeof one), static_cast<ssize_t>(sizeof one));
    thread.join();
    server.reset();
    instance.reset();
  }
  Client Connected() {
    Client client(dir.path() + "/run");
    EXPECT_TRUE(client.Connect());
    return client;
  }
  nlohmann::json Ask(const std::string& what) {
    Client client = Connected();
    abi::Query query{};
    query.head = {abi::kMagic, abi::kAbiVersion, abi::ControlType::kQuery};
    what.copy(query.what, sizeof query.what - 1);
    client.Send(query);
    return nlohmann::json::parse(client.ReceiveText(), nullptr, false);
  }

  TempDir dir;
  ServerOptions options;
  FakeDataplane dataplane;
  FakeBackend backend;
  FileDescriptor stop{eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
  std::optional<Instance> instance;
  std::optional<Server> server;
  std::thread thread;
};

TEST_F(ServerTest, AttachFromRequestToGrantableThread) {
  Start();
  Client app = Connected();
  app.Send(AttachAs("fixed"));
  const auto answer = app.Receive<abi::AttachAnswer>();
  ASSERT_TRUE(answer.has_value());
  ASSERT_EQ(answer->code, AnswerCode::kOk) << answer->sentence;
  ASSERT_TRUE(app.region.valid());
  struct stat region {};
  ASSERT_EQ(fstat(app.region.get(), &region), 0);
  EXPECT_EQ(static_cast<uint64_t>(region.st_size), answer->region_bytes);
  EXPECT_EQ(fcntl(app.region.get(), F_GET_SEALS) & (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL),
            F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
  abi::RegionHeader header;
  ASSERT_EQ(pread(app.region.get(), &header, sizeof header, 0), static_cast<ssize_t>(sizeof header));
  EXPECT_EQ(header.magic, abi::kMagic);
  EXPECT_EQ(header.epoch, answer->epoch);
  EXPECT_EQ(header.address, 0x0a000005u);
  EXPECT_EQ(header.geometry.kthreads, 1u);

  app.SendThreads(answer->epoch, {Client::ThreadId()});
  const auto last = app.Receive<abi::Answer>();
  ASSERT_TRUE(last.has_value());
  EXPECT_EQ(last->code, AnswerCode::kOk) << last->sentence;
  EXPECT_THAT(dataplane.Await(1), ElementsAre(CommandKind::kAttach));
  const auto enrolled = backend.enrolled();
  ASSERT_EQ(enrolled.size(), 1u);
  EXPECT_EQ(enrolled[0].pid, getpid());
  EXPECT_EQ(enrolled[0].first_tid, static_cast<pid_t>(Client::ThreadId()));
}

TEST_F(ServerTest, HangUpGivesEverythingBackAndTheEpochRises) {
  Start();
  Client first = Connected();
  const auto before = first.Attach(AttachAs("fixed"));
  ASSERT_EQ(before.code, AnswerCode::kOk) << before.sentence;
  first.Close();
  EXPECT_THAT(dataplane.Await(2), ElementsAre(CommandKind::kAttach, CommandKind::kDetach));
  EXPECT_EQ(backend.AwaitReleased(1).size(), 1u);
  Client again = Connected();
  const auto after = again.Attach(AttachAs("fixed"));  // the same thread, name and address
  EXPECT_EQ(after.code, AnswerCode::kOk) << after.sentence;
  EXPECT_GT(after.epoch, before.epoch);
}

TEST_F(ServerTest, HangUpWhileTheLoopIsAskedIsDetachedInOrder) {
  Start();
  dataplane.Hold(true);
  Client app = Connected();
  app.Send(AttachAs("a"));
  const auto answer = app.Receive<abi::AttachAnswer>();
  ASSERT_TRUE(answer && answer->code == AnswerCode::kOk);
  app.SendThreads(answer->epoch, {Client::ThreadId()});
  dataplane.Await(1);
  app.Close();
  EXPECT_THAT(dataplane.Await(2), ElementsAre(CommandKind::kAttach, CommandKind::kDetach));
  dataplane.Hold(false);
  EXPECT_EQ(backend.AwaitReleased(1).size(), 1u);
}

TEST_F(ServerTest, AFullCommandQueueDelaysAndLosesNothing) {
  Start();
  dataplane.Fill(true);
  Client app = Connected();
  app.Send(AttachAs("a"));
  const auto answer = app.Receive<abi::AttachAnswer>();
  ASSERT_TRUE(answer && answer->code == AnswerCode::kOk);
  app.SendThreads(answer->epoch, {Client::ThreadId()});
  EXPECT_FALSE(Ask("apps").is_discarded());  // it is not stuck meanwhile
  dataplane.Fill(false);
  const auto last = app.Receive<abi::Answer>();
  ASSERT_TRUE(last.has_value());
  EXPECT_EQ(last->code, AnswerCode::kOk);
}

// The socket stays open in another process: only the pidfd tells.
TEST_F(ServerTest, AnAppThatDiesWithItsSocketHeldElsewhereIsDetached) {
  Start();
  Client app(dir.path() + "/run");
  const pid_t child = fork();
  if (child == 0) {
    const bool attached = app.Connect() && app.Attach(AttachAs("mortal")).code == AnswerCode::kOk;
    _exit(attached ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  EXPECT_THAT(dataplane.Await(2), ElementsAre(CommandKind::kAttach, CommandKind::kDetach));
  EXPECT_TRUE(app.AtEnd());
}

// --- refusals -----------------------------------------------------------------------------------------

TEST_F(ServerTest, TakenNamesAndAddressesAreToldWithTheirHolder) {
  Start();
  Client holder = Connected();
  ASSERT_EQ(holder.Attach(AttachAs("fixed")).code, AnswerCode::kOk);
  Client second = Connected();
  const auto name = second.Attach(AttachAs("fixed"));
  EXPECT_EQ(name.code, AnswerCode::kNameTaken);
  EXPECT_EQ(name.sentence, "the name fixed is held by " + kMe);
  Client third = Connected();
  abi::AttachRequest request = AttachAs("other");
  request.address = 0x0a000005;
  const auto address = third.Attach(request);
  EXPECT_EQ(address.code, AnswerCode::kAddressTaken);
  EXPECT_EQ(address.sentence, "10.0.0.5 is held by " + kMe);
}

TEST_F(ServerTest, AThreadOfSomebodyElseIsRefused) {
  Start();
  Client app = Connected();
  app.Send(AttachAs("a"));
  const auto answer = app.Receive<abi::AttachAnswer>();
  ASSERT_TRUE(answer && answer->code == AnswerCode::kOk);
  const auto foreign = static_cast<uint32_t>(getppid());
  app.SendThreads(answer->epoch, {foreign});
  const auto last = app.Receive<abi::Answer>();
  ASSERT_TRUE(last.has_value());
  EXPECT_EQ(last->code, AnswerCode::kForeignThread);
  EXPECT_EQ(std::string(last->sentence),
            "thread " + std::to_string(foreign) + " is none of pid " + std::to_string(getpid()));
  EXPECT_TRUE(app.AtEnd());
  EXPECT_TRUE(backend.enrolled().empty());
}

TEST_F(ServerTest, AThreadServesOneAppOnly) {
  Start();
  Client first = Connected();
  ASSERT_EQ(first.Attach(AttachAs("a")).code, AnswerCode::kOk);
  Client second = Connected();
  const auto refused = second.Attach(AttachAs("b"));
  EXPECT_EQ(refused.code, AnswerCode::kForeignThread);
  EXPECT_EQ(refused.sentence, "a thread of these serves a already");
}

TEST_F(ServerTest, ThreadsMustMatchTheRegion) {
  Start();
  struct Case {
    uint64_t epoch_more;
    std::vector<uint32_t> tids;
    const char* sentence;
  };
  const uint32_t me = Client::ThreadId();
  const Case cases[] = {{1, {me}, "threads for another attach than this one"},
                        {0, {}, "0 threads came, the region is for 1"},
                        {0, {me, 1}, "2 threads came, the region is for 1"},
                        {0, {me, me}, "a thread is listed twice"},
                        {0, {0}, "no thread has such an id"}};
  for (const Case& wrong : cases) {
    Client app = Connected();
    app.Send(AttachAs("a"));
    const auto answer = app.Receive<abi::AttachAnswer>();
    ASSERT_TRUE(answer && answer->code == AnswerCode::kOk) << wrong.sentence;
    app.SendThreads(answer->epoch + wrong.epoch_more, wrong.tids);
    const auto last = app.Receive<abi::Answer>();
    ASSERT_TRUE(last.has_value()) << wrong.sentence;
    EXPECT_EQ(last->code, AnswerCode::kMalformed);
    EXPECT_STREQ(last->sentence, wrong.sentence);
    EXPECT_TRUE(app.AtEnd());
  }
}

TEST_F(ServerTest, AnAttachedAppThatAttachesAgainOnItsSocketIsDetached) {
  Start();
  Client app = Connected();
  ASSERT_EQ(app.Attach(AttachAs("a")).code, AnswerCode::kOk);
  app.Send(AttachAs("a"));
  const auto answer = app.Receive<abi::Answer>();
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->code, AnswerCode::kMalformed);
  EXPECT_STREQ(answer->sentence, "this message is not due now");
  EXPECT_THAT(dataplane.Await(2), ElementsAre(CommandKind::kAttach, CommandKind::kDetach));
}

TEST_F(ServerTest, MalformedMessagesAreToldAndClosed) {
  Start();
  struct Case {
    std::vector<std::byte> bytes;
    AnswerCode code;
    std::string sentence;
  };
  const auto bytes_of = [](const auto& message, size_t size) {
    std::vector<std::byte> bytes(size);
    std::memcpy(bytes.data(), &message, std::min(size, sizeof message));
    return bytes;
  };
  const abi::AttachRequest good = AttachAs("a");
  abi::AttachRequest magic = good, version = good, type = good, endless = good, control = good, policy = good,
                     priority = good;
  magic.head.magic ^= 1;
  version.head.version = 99;
  type.head.type = abi::ControlType::kAnswer;
  std::memset(endless.name, 'x', sizeof endless.name);
  control.name[0] = '\n';
  std::memset(policy.steering, 'x', sizeof policy.steering);
  priority.priority = 3;
  const Case cases[] = {
      {std::vector<std::byte>(1), AnswerCode::kMalformed, "a message shorter than its head"},
      {std::vector<std::byte>(abi::kMaxControlMessage + 1), AnswerCode::kMalformed, "a message longer than 8192 bytes"},
      {std::vector<std::byte>(abi::kMaxControlMessage), AnswerCode::kMalformed, "this is not Sluice's protocol"},
      {bytes_of(good, sizeof good - 1), AnswerCode::kMalformed, "an attach request has 168 bytes, this one 167"},
      {bytes_of(good, sizeof good + 1), AnswerCode::kMalformed, "an attach request has 168 bytes, this one 169"},
      {bytes_of(magic, sizeof magic), AnswerCode::kMalformed, "this is not Sluice's protocol"},
      {bytes_of(version, sizeof version), AnswerCode::kVersion,
       "iokerneld speaks ABI version 1, this program 99; build both from one release"},
      {bytes_of(type, sizeof type), AnswerCode::kMalformed, "a message of type 4, which an app does not send"},
      {bytes_of(endless, sizeof endless), AnswerCode::kMalformed,
       "an app's name is 1 to 31 letters, digits and -_.:+@"},
      {bytes_of(control, sizeof control), AnswerCode::kMalformed,
       "an app's name is 1 to 31 letters, digits and -_.:+@"},
      {bytes_of(policy, sizeof policy), AnswerCode::kMalformed, "the steering policy's name is not a printable text"},
      {bytes_of(priority, sizeof priority), AnswerCode::kMalformed,
       "a priority is 0 (as configured), 1 (latency-critical) or 2 (best-effort), not 3"},
  };
  for (const Case& wrong : cases) {
    Client app = Connected();
    app.Send(wrong.bytes.data(), wrong.bytes.size());
    const auto answer = app.Receive<abi::AttachAnswer>();
    ASSERT_TRUE(answer.has_value()) << wrong.sentence;
    EXPECT_EQ(answer->code, wrong.code) << wrong.sentence;
    EXPECT_EQ(std::string(answer->sentence), wrong.sentence);
    EXPECT_TRUE(app.AtEnd());
  }
  EXPECT_EQ(Ask("apps")["apps"].size(), 0u);
}

TEST_F(ServerTest, ThreadsBeforeAnAttachAreNotDue) {
  Start();
  Client app = Connected();
  app.SendThreads(1, {Client::ThreadId()});
  const auto answer = app.Receive<abi::AttachAnswer>();
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->code, AnswerCode::kMalformed);
}

TEST_F(ServerTest, AnUnknownPolicyAndAnUnknownQueryAreTold) {
  Start();
  Client app = Connected();
  abi::AttachRequest request = AttachAs("a");
  std::strcpy(request.steering, "rs");
  const auto refused = app.Attach(request);
  EXPECT_EQ(refused.code, AnswerCode::kUnknownPolicy);
  EXPECT_THAT(refused.sentence, HasSubstr("rss"));
  Client asker = Connected();
  abi::Query query{};
  query.head = {abi::kMagic, abi::kAbiVersion, abi::ControlType::kQuery};
  std::strcpy(query.what, "weather");
  asker.Send(query);
  EXPECT_EQ(asker.ReceiveText(), "iokerneld answers stat, apps and policies, not weather");
}

// --- the clumsy and the hostile -----------------------------------------------------------------------

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
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr header{};
  header.msg_iov = &io;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  cmsghdr* rights = CMSG_FIRSTHDR(&header);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(rights), &pair[1], sizeof(int));
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

TEST_F(ServerTest, SluicectlAsksTheSameAndTellsWhyNot) {
  Start();
  Client app = Connected();
  ASSERT_EQ(app.Attach(AttachAs("fixed")).code, AnswerCode::kOk);
  const auto stat = ctl::Ask(dir.path() + "/run", "stat");
  ASSERT_TRUE(stat.has_value()) << stat.error();
  EXPECT_THAT(ctl::StatTable(*stat), HasSubstr("app fixed, 10.0.0.5, " + kMe + ", attached"));
  const auto unknown = ctl::Ask(dir.path() + "/run", "weather");
  ASSERT_FALSE(unknown.has_value());
  EXPECT_EQ(unknown.error(), "iokerneld refuses: iokerneld answers stat, apps and policies, not weather");
}

// --- what the loop says, questions, the end -------------------------------------------------------------

TEST_F(ServerTest, WhatTheLoopGivesUpOnIsDetached) {
  Start();
  for (const auto kind : {Notice::Kind::kUnresponsive, Notice::Kind::kFaulted}) {
    const size_t before = backend.AwaitReleased(0).size();
    Client app = Connected();
    ASSERT_EQ(app.Attach(AttachAs("a")).code, AnswerCode::kOk);
    dataplane.Say({77, kind});  // nobody has that number: nothing happens
    dataplane.Say({backend.enrolled().back().app, kind});
    EXPECT_TRUE(app.AtEnd());
    EXPECT_EQ(backend.AwaitReleased(before + 1).size(), before + 1);
  }
}

TEST_F(ServerTest, StatTellsOfHostAppsAndKthreadsWithDropsByReason) {
  Start();
  Client app = Connected();
  abi::AttachRequest request = AttachAs("fixed");
  request.priority = 2;
  ASSERT_EQ(app.Attach(request).code, AnswerCode::kOk);
  const auto stat = Ask("stat");
  ASSERT_TRUE(stat.is_object());
  EXPECT_EQ(stat["iokerneld"]["pid"], getpid());
  EXPECT_EQ(stat["iokerneld"]["address"], "10.0.0.1/29");
  EXPECT_EQ(stat["iokerneld"]["cores"]["slots"], 3);
  EXPECT_EQ(stat["grants"]["backend"], "fake");
  for (const std::string_view reason : kLinkDropNames) EXPECT_TRUE(stat["loop"]["drops"].contains(reason)) << reason;
  ASSERT_EQ(stat["apps"].size(), 1u);
  const auto& described = stat["apps"][0];
  EXPECT_EQ(described["name"], "fixed");
  EXPECT_EQ(described["address"], "10.0.0.5");
  EXPECT_EQ(described["pid"], getpid());
  EXPECT_EQ(described["priority"], "best-effort");
  EXPECT_EQ(described["guaranteed"], 1);
  for (const std::string_view reason : kAppDropNames) EXPECT_TRUE(described["drops"].contains(reason)) << reason;
  ASSERT_EQ(described["kthreads"].size(), 1u);
  for (const char* key : {"rx_packets", "tx_packets", "grants", "runtime", "drops"}) {
    EXPECT_TRUE(described["kthreads"][0].contains(key)) << key;
  }
}

TEST_F(ServerTest, LongAnswersComeInPieces) {
  options.fallbacks.assign(1000, "a sentence about something that this machine lacks, and what is done instead");
  Start();
  EXPECT_EQ(Ask("stat")["iokerneld"]["fallbacks"].size(), 1000u);
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

TEST_F(ServerTest, ACleanStopDetachesAllAndRemovesItsFiles) {
  Start();
  Client app = Connected();
  ASSERT_EQ(app.Attach(AttachAs("a")).code, AnswerCode::kOk);
  Client silent = Connected();
  Stop();
  EXPECT_TRUE(app.AtEnd());
  EXPECT_TRUE(silent.AtEnd());
  EXPECT_THAT(dataplane.Await(2), ElementsAre(CommandKind::kAttach, CommandKind::kDetach));
  EXPECT_EQ(backend.AwaitReleased(1).size(), 1u);
  EXPECT_EQ(access((dir.path() + "/run").c_str(), F_OK), -1);
}

}  // namespace
}  // namespace sluice
