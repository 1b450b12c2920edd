// control_client_test.cc - attach, against daemons that refuse, are of another build, hostile, slow or dead.
#include "runtime/io/control_client.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <future>
#include <vector>

#include "tests/unit/runtime/net/fake_control.h"

namespace sluice::io {
namespace {

using abi::AnswerCode;
using testing::internal::CaptureStderr;
using testing::internal::GetCapturedStderr;

constexpr std::chrono::milliseconds kPatience{20'000};  // never reached

tl::expected<ControlClient, Refusal> AttachTo(const FakeControl& control,
                                              std::chrono::milliseconds patience = kPatience) {
  abi::AttachRequest request{};
  std::strcpy(request.name, "web");
  request.address = 0x0a000002;
  return ControlClient::Attach(control.run_dir(), request, patience);
}

// What an app is told by a daemon that answers the attach with these bytes.
Refusal Told(const void* answer, size_t bytes, int fd = -1) {
  const FakeControl control([&](int socket) {
    FakeControl::Receive<abi::AttachRequest>(socket);
    FakeControl::Send(socket, answer, bytes, fd);
    FakeControl::AwaitHangUp(socket);
  });
  const auto client = AttachTo(control);
  EXPECT_FALSE(client);
  return client ? Refusal{} : client.error();
}

Refusal Told(const abi::AttachAnswer& answer, int fd = -1) { return Told(&answer, sizeof(answer), fd); }

bool Says(const Refusal& refusal, const std::string& part) {
  if (refusal.sentence.find(part) != std::string::npos) return true;
  ADD_FAILURE() << "'" << refusal.sentence << "' lacks '" << part << "'";
  return false;
}

TEST(ControlClient, AttachesMapsReportsThreads) {
  FakeRegion region;
  const int fd = region.Finish();
  std::vector<uint32_t> reported;
  abi::AttachRequest asked{};
  FakeControl control([&](int socket) {
    asked = FakeControl::Receive<abi::AttachRequest>(socket);
    const auto answer = GoodAnswer(region.bytes);
    FakeControl::Send(socket, &answer, sizeof(answer), fd);
    struct {
      abi::ThreadsReady head;
      uint32_t ids[2];
    } ready{};
    EXPECT_EQ(recv(socket, &ready, sizeof(ready), MSG_TRUNC), static_cast<ssize_t>(sizeof(ready)));
    EXPECT_EQ(ready.head.epoch, 7u);
    EXPECT_EQ(ready.head.count, 2u);
    reported.assign(ready.ids, ready.ids + 2);
    const auto ok = OkAnswer();
    FakeControl::Send(socket, &ok, sizeof(ok));
  });
  auto client = AttachTo(control);
  ASSERT_TRUE(client) << client.error().sentence;
  EXPECT_STREQ(asked.name, "web");
  EXPECT_EQ(asked.address, 0x0a000002u);
  EXPECT_EQ(asked.head.version, abi::kAbiVersion);
  EXPECT_EQ(client->iokernel_pid(), getpid());
  EXPECT_EQ(client->epoch(), 7u);
  EXPECT_EQ(client->region().header().address, 0x0a000002u);
  EXPECT_EQ(client->region().kthreads(), 1u);
  client->region().kick().store(5);  // the mapping is shared and writable
  const uint32_t ids[] = {11, 12};
  const auto accepted = client->ReportThreads(ids);
  ASSERT_TRUE(accepted) << accepted.error().sentence;
  control.Join();
  EXPECT_EQ(reported, (std::vector<uint32_t>{11, 12}));
  uint32_t kick = 0;
  EXPECT_EQ(pread(fd, &kick, sizeof(kick), sizeof(abi::RegionHeader)), static_cast<ssize_t>(sizeof(kick)));
  EXPECT_EQ(kick, 5u);
}

TEST(ControlClient, WithoutADaemonNamesTheSocketAndHowToStartOne) {
  const TemporaryDirectory directory;
  const auto client = ControlClient::Attach(directory.path(), {});
  ASSERT_FALSE(client);
  EXPECT_TRUE(Says(client.error(), directory.path() + "/control: No such file"));
  EXPECT_TRUE(Says(client.error(), "iokerneld --run-dir " + directory.path()));
  EXPECT_TRUE(Says(client.error(), "SLUICE_RUN_DIR"));
}

TEST(ControlClient, ASocketThatADeadDaemonLeftIsNamedToo) {
  const TemporaryDirectory directory;
  const sockaddr_un address = ControlAddress(directory.path());
  UniqueFd dead(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  ASSERT_EQ(bind(dead.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  dead.Reset();
  const auto client = ControlClient::Attach(directory.path(), {});
  ASSERT_FALSE(client);
  EXPECT_TRUE(Says(client.error(), "Connection refused"));
  EXPECT_TRUE(Says(client.error(), "iokerneld --run-dir"));
}

TEST(ControlClient, ARunDirectoryTooLongForASocketIsRefused) {
  const auto client = ControlClient::Attach("/" + std::string(120, 'd'), {});
  ASSERT_FALSE(client);
  EXPECT_TRUE(Says(client.error(), "too long"));
}

TEST(ControlClient, TheRunDirectoryComesFromTheConfigThenTheEnvironment) {
  ASSERT_EQ(setenv("SLUICE_RUN_DIR", "/env", 1), 0);
  EXPECT_EQ(RunDirectory("/config"), "/config");
  EXPECT_EQ(RunDirectory(""), "/env");
  ASSERT_EQ(unsetenv("SLUICE_RUN_DIR"), 0);
  EXPECT_EQ(RunDirectory(""), "/run/sluice");
}

TEST(ControlClient, PassesOnTheDaemonsSentence) {
  auto answer = GoodAnswer(0);
  answer.code = AnswerCode::kAddressTaken;
  std::strcpy(answer.sentence, "10.0.0.2 is held by pid 4711 (memcached)");
  const Refusal refusal = Told(answer);
  EXPECT_EQ(refusal.code, AnswerCode::kAddressTaken);
  EXPECT_EQ(refusal.sentence, "10.0.0.2 is held by pid 4711 (memcached)");
}

TEST(ControlClient, ASentenceWithoutAnEndIsCutAndAMissingOneReplaced) {
  auto answer = GoodAnswer(0);
  answer.code = AnswerCode::kNoCores;
  std::memset(answer.sentence, 'x', sizeof(answer.sentence));
  EXPECT_EQ(Told(answer).sentence, std::string(sizeof(answer.sentence), 'x'));
  answer.sentence[0] = '\0';
  EXPECT_TRUE(Says(Told(answer), "code 7"));
}

TEST(ControlClient, ADaemonOfAnotherVersionIsNamedWithBothNumbers) {
  auto answer = GoodAnswer(0);
  answer.head.version = abi::kAbiVersion + 1;
  // A later version's answer may have another size: the head alone must do.
  for (const size_t bytes : {sizeof(abi::MessageHead), sizeof(answer)}) {
    const Refusal refusal = Told(&answer, bytes);
    EXPECT_EQ(refusal.code, AnswerCode::kVersion);
    EXPECT_TRUE(Says(refusal, "ABI version 2, this program 1"));
  }
}

TEST(ControlClient, GarbageIsNotSluicesProtocol) {
  const char greeting[] = "220 mail.example.org ESMTP";
  EXPECT_TRUE(Says(Told(greeting, sizeof(greeting)), "does not speak Sluice's protocol"));
  EXPECT_TRUE(Says(Told(greeting, 3), "does not speak Sluice's protocol"));
}

TEST(ControlClient, AnAnswerOfTheWrongTypeOrLengthIsRefused) {
  auto answer = GoodAnswer(0);
  EXPECT_TRUE(Says(Told(&answer, sizeof(answer) - 1), "271 bytes"));
  answer.head.type = abi::ControlType::kQueryAnswer;
  EXPECT_TRUE(Says(Told(answer), "type 6"));
}

TEST(ControlClient, AnAnswerWithoutARegionIsRefused) {
  EXPECT_TRUE(Says(Told(GoodAnswer(4096)), "without the region's file"));
}

TEST(ControlClient, ADaemonThatHangsUpOrDoesNotAnswerIsNamed) {
  {
    const FakeControl control([](int socket) { FakeControl::Receive<abi::AttachRequest>(socket); });
    const auto client = AttachTo(control);
    ASSERT_FALSE(client);
    EXPECT_TRUE(Says(client.error(), "closed the connection without an answer"));
  }
  const FakeControl silent([](int socket) { FakeControl::AwaitHangUp(socket); });
  const auto client = AttachTo(silent, std::chrono::milliseconds(1));
  ASSERT_FALSE(client);
  EXPECT_TRUE(Says(client.error(), "did not answer within 1 ms"));
}

TEST(ControlClient, RefusesRegionsThatItCannotTrust) {
  struct Case {
    const char* says;
    std::function<void(FakeRegion&)> spoil;
  };
  const Case cases[] = {
      {"magic", [](FakeRegion& r) { r.header.magic = 1; }},
      {"region has ABI version 9", [](FakeRegion& r) { r.header.version = 9; }},
      {"header has 128 bytes", [](FakeRegion& r) { r.header.header_bytes = 128; }},
      {"geometry is out of bounds", [](FakeRegion& r) { r.header.geometry.kthreads = 0; }},
      {"geometry is out of bounds", [](FakeRegion& r) { r.header.geometry.rx_slots = 65; }},
      {"geometry is out of bounds", [](FakeRegion& r) { r.header.geometry.buffer_size = 0xffffffc0; }},
      {"its geometry needs", [](FakeRegion& r) { r.header.geometry.kthreads = 2; }},
      {"its header says 4096", [](FakeRegion& r) { r.header.bytes = 4096; }},
      {"epoch 8", [](FakeRegion& r) { r.header.epoch = 8; }},
      {"MTU of 2049", [](FakeRegion& r) { r.header.mtu = 2049; }},
      {"MTU of 0", [](FakeRegion& r) { r.header.mtu = 0; }},
      {"delivery mode 1", [](FakeRegion& r) { r.header.delivery = 1; }},
      {"clock", [](FakeRegion& r) { r.header.tsc_hz = 0; }},
  };
  for (const Case& c : cases) {
    FakeRegion region;
    c.spoil(region);
    EXPECT_TRUE(Says(Told(GoodAnswer(region.bytes), region.Finish()), c.says));
  }
}

TEST(ControlClient, RefusesAFileThatIsShorterThanPromisedOrCanShrink) {
  FakeRegion region;
  EXPECT_TRUE(Says(Told(GoodAnswer(region.bytes + 4096), region.Finish(F_SEAL_SHRINK)), "the answer says"));
  EXPECT_TRUE(Says(Told(GoodAnswer(region.bytes), region.fd.get()), "not sealed"));
  FakeRegion empty;
  ASSERT_EQ(ftruncate(empty.fd.get(), 0), 0);
  EXPECT_TRUE(Says(Told(GoodAnswer(0), empty.fd.get()), "has 0 bytes"));
}

TEST(ControlClient, ThreadsThatAreRefusedSayWhy) {
  FakeRegion region;
  const int fd = region.Finish();
  const FakeControl control([&](int socket) {
    FakeControl::Receive<abi::AttachRequest>(socket);
    const auto answer = GoodAnswer(region.bytes);
    FakeControl::Send(socket, &answer, sizeof(answer), fd);
    char ready[64];
    EXPECT_GT(recv(socket, ready, sizeof(ready), 0), 0);
    auto refusal = OkAnswer();
    refusal.code = AnswerCode::kForeignThread;
    std::strcpy(refusal.sentence, "thread 1 is not one of pid 5");
    FakeControl::Send(socket, &refusal, sizeof(refusal));
  });
  auto client = AttachTo(control);
  ASSERT_TRUE(client) << client.error().sentence;
  const uint32_t id = 1;
  const auto accepted = client->ReportThreads({&id, 1});
  ASSERT_FALSE(accepted);
  EXPECT_EQ(accepted.error().code, AnswerCode::kForeignThread);
  EXPECT_EQ(accepted.error().sentence, "thread 1 is not one of pid 5");
}

// ---- the watcher ----------------------------------------------------------------------------------

// A daemon that attaches an app, then does `after`.
class AttachedOnce {
 public:
  explicit AttachedOnce(std::function<void(int)> after)
      : control_([this, after = std::move(after)](int socket) {
          FakeControl::Receive<abi::AttachRequest>(socket);
          const auto answer = GoodAnswer(region_.bytes);
          FakeControl::Send(socket, &answer, sizeof(answer), region_.Finish());
          after(socket);
        }) {}
  const FakeControl& control() const { return control_; }

 private:
  FakeRegion region_;
  FakeControl control_;
};

TEST(ControlWatcher, NoticesTheEndOnceAndSaysItInOneLine) {
  std::promise<void> die;
  const AttachedOnce daemon([&](int) { die.get_future().wait(); });
  auto client = AttachTo(daemon.control());
  ASSERT_TRUE(client) << client.error().sentence;
  CaptureStderr();
  std::promise<void> gone;
  client->Watch([&] { gone.set_value(); });  // a second call would throw
  die.set_value();
  gone.get_future().wait();
  client->StopWatching();
  EXPECT_EQ(GetCapturedStderr(),
            "sluice: iokerneld (pid " + std::to_string(getpid()) + ") is gone; waiting for packets now fails\n");
}

TEST(ControlWatcher, PassesOnWhyTheAppWasDetached) {
  const AttachedOnce daemon([&](int socket) {
    auto reason = OkAnswer();
    std::strcpy(reason.sentence, "it did not give its core back");
    FakeControl::Send(socket, &reason, sizeof(reason));
  });
  auto client = AttachTo(daemon.control());
  ASSERT_TRUE(client) << client.error().sentence;
  CaptureStderr();
  std::promise<void> gone;
  client->Watch([&] { gone.set_value(); });
  gone.get_future().wait();
  client->StopWatching();
  EXPECT_NE(GetCapturedStderr().find("detached this app: it did not give its core back\n"), std::string::npos);
}

TEST(ControlWatcher, StopsWithoutCallingWhileTheDaemonLives) {
  const AttachedOnce daemon([](int socket) { FakeControl::AwaitHangUp(socket); });
  auto client = AttachTo(daemon.control());
  ASSERT_TRUE(client) << client.error().sentence;
  client->Watch([] { ADD_FAILURE() << "the daemon lives"; });
  client->StopWatching();
  client->StopWatching();  // idempotent
}

}  // namespace
}  // namespace sluice::io
