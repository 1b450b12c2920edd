// server_refusal_test.cc - what is refused, and that the reason is told.
#include "iokernel/abi/region.h"
#include "tests/unit/control/server_fixture.h"

namespace sluice {
namespace {

using abi::AnswerCode;
using testing::ElementsAre;
using testing::HasSubstr;

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
  EXPECT_EQ(asker.ReceiveText(), "iokerneld answers stat, apps, policies and record, not weather");
}

}  // namespace
}  // namespace sluice
