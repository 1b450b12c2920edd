// server_command_test.cc - explain, flows and recordings: from sluicectl's command line to the loop and back.
#include <fcntl.h>
#include <sys/stat.h>

#include <fstream>

#include "apps/sluicectl/commands.h"
#include "apps/sluicectl/query.h"
#include "apps/sluicectl/record_print.h"
#include "apps/sluicectl/tables.h"
#include "iokernel/abi/toeplitz.h"
#include "tests/unit/control/server_fixture.h"

namespace sluice {
namespace {

using abi::AnswerCode;
using testing::HasSubstr;
using testing::StartsWith;

class CommandTest : public ServerTest {
 protected:
  std::string run() { return dir.path() + "/run"; }
  std::string file() { return dir.path() + "/decisions"; }
  // The loop's part of a recording: it notices a start and a stop in its next pass.
  void TurnUntil(const std::function<bool()>& done) {
    for (Ticks now = 1; !done() && now < 2'000'000; now++) {
      (void)dataplane.recorder().Turn(now);
      std::this_thread::yield();
    }
  }
  // sluicectl's side of `record stop`, beside a loop that goes on.
  tl::expected<std::string, std::string> StopBesideTheLoop() {
    std::atomic<bool> stopped{false};
    tl::expected<std::string, std::string> answer;
    std::thread asker([&] {
      answer = ctl::StopRecording(run());
      stopped = true;
    });
    TurnUntil([&] { return stopped.load(); });
    asker.join();
    return answer;
  }
};

TEST_F(CommandTest, ExplainSaysHashAppCoreAndWhy) {
  FlowRequest asked;
  dataplane.AnswerWith([&](FlowRequest& request) {
    asked = request;
    request.answer = {.kthread = 0, .home = 3, .home_core = 2, .reason = SteeringReason::kHome};
  });
  Start();
  Client app = Connected();
  ASSERT_EQ(app.Attach(AttachAs("fixed")).code, AnswerCode::kOk);
  const auto answer = ctl::Explain(run(), "10.0.0.9:4242", "10.0.0.5:80/udp");
  ASSERT_TRUE(answer.has_value()) << answer.error();
  EXPECT_EQ(asked.kind, FlowRequest::Kind::kExplain);
  const uint32_t hash = abi::ToeplitzTable().Hash(0x0a000009, 0x0a000005, 4242, 80);
  EXPECT_EQ(asked.hash, hash);
  char hex[11];
  std::snprintf(hex, sizeof hex, "0x%08x", hash);
  EXPECT_EQ(ctl::ExplainText(*answer), "10.0.0.9:4242 -> 10.0.0.5:80/udp\n  hash     " + std::string(hex) +
                                           "\n  app      fixed, rss\n  kthread  0, 0 packets waiting\n"
                                           "  core     2, CPU 3\n  home     3, on core 2\n"
                                           "  why      the flow's home is on this core\n");
}

TEST_F(CommandTest, AFlowOfNobodyIsToldSo) {
  Start();
  const auto answer = ctl::Explain(run(), "10.0.0.9:4242", "10.0.0.5:80/udp");
  ASSERT_FALSE(answer.has_value());
  EXPECT_THAT(answer.error(), HasSubstr("no attached app has the address 10.0.0.5"));
}

TEST_F(CommandTest, AnAppThatGoesWhileItIsAskedIsToldSo) {
  Start();
  Client app = Connected();
  ASSERT_EQ(app.Attach(AttachAs("fixed")).code, AnswerCode::kOk);
  const auto answer = ctl::Explain(run(), "10.0.0.9:4242", "10.0.0.5:80/tcp");  // the fake loop knows no app
  ASSERT_FALSE(answer.has_value());
  EXPECT_THAT(answer.error(), HasSubstr("the app has gone"));
}

TEST_F(CommandTest, FlowsAreAddedRemovedAndListedWhole) {
  std::vector<InstalledFlow> table;
  dataplane.AnswerWith([&](FlowRequest& request) {
    request.error = FlowError::kNone;
    if (request.kind == FlowRequest::Kind::kAdd) {
      if (table.size() >= 150) request.error = FlowError::kFull;
      if (request.error == FlowError::kNone) table.push_back({request.hash, request.home, request.tuple});
    } else if (request.kind == FlowRequest::Kind::kRemove) {
      const auto gone = std::erase_if(table, [&](const InstalledFlow& f) { return f.tuple == request.tuple; });
      if (gone == 0) request.error = FlowError::kNotThere;
    } else {
      const uint32_t first = request.cursor == kListStart ? 0 : request.cursor;
      request.count = std::min<uint32_t>(kFlowsPerList, static_cast<uint32_t>(table.size()) - first);
      std::copy_n(table.begin() + first, request.count, request.flows.begin());
      request.cursor = first + request.count;
    }
  });
  Start();
  Client app = Connected();
  ASSERT_EQ(app.Attach(AttachAs("fixed")).code, AnswerCode::kOk);
  for (int port = 1; port <= 150; port++) {
    const auto added = ctl::ChangeFlow(run(), true, "10.0.0.9:" + std::to_string(port), "10.0.0.5:80/udp", uint16_t{0});
    ASSERT_TRUE(added.has_value()) << added.error();
  }
  const auto full = ctl::ChangeFlow(run(), true, "10.0.0.9:999", "10.0.0.5:80/udp", std::nullopt);
  ASSERT_FALSE(full.has_value());
  EXPECT_THAT(full.error(), HasSubstr("no room"));
  const auto listed = ctl::ListFlows(run(), "fixed");
  ASSERT_TRUE(listed.has_value()) << listed.error();
  EXPECT_EQ(nlohmann::json::parse(*listed)["flows"].size(), 150u);
  EXPECT_THAT(ctl::FlowsTable(*listed), HasSubstr("fixed  10.0.0.9:150  10.0.0.5:80  udp"));
  const auto removed = ctl::ChangeFlow(run(), false, "10.0.0.9:150", "10.0.0.5:80/udp", std::nullopt);
  ASSERT_TRUE(removed.has_value()) << removed.error();
  EXPECT_EQ(ctl::FlowLine(*removed), "fixed: 10.0.0.9:150 10.0.0.5:80/udp, removed\n");
  EXPECT_THAT(ctl::ChangeFlow(run(), false, "10.0.0.9:150", "10.0.0.5:80/udp", std::nullopt).error(),
              HasSubstr("no such flow is installed"));
  EXPECT_THAT(ctl::ListFlows(run(), "nobody").error(), HasSubstr("no app named nobody"));
}

TEST_F(CommandTest, AnAskerWhoLeavesHoldsUpNobody) {
  dataplane.AnswerWith([](FlowRequest& request) { request.answer = {.kthread = 0}; });
  Start();
  Client app = Connected();
  ASSERT_EQ(app.Attach(AttachAs("fixed")).code, AnswerCode::kOk);
  dataplane.Hold(true);
  {
    Client asker = Connected();
    abi::CommandRequest command{};
    command.head = {abi::kMagic, abi::kAbiVersion, abi::ControlType::kCommand};
    std::strcpy(command.verb, "explain");
    ASSERT_TRUE(ctl::SetFlow("10.0.0.9:1", "10.0.0.5:80/udp", &command).has_value());
    asker.Send(command);
    EXPECT_EQ(dataplane.Await(2).back(), CommandKind::kAsk);
  }
  EXPECT_EQ(Ask("apps")["apps"].size(), 1u);
  dataplane.Hold(false);
  EXPECT_TRUE(ctl::Explain(run(), "10.0.0.9:1", "10.0.0.5:80/udp").has_value());
}

TEST_F(CommandTest, AMalformedFlowIsRefusedBeforeItLeaves) {
  abi::CommandRequest command{};
  for (const char* source : {"", "10.0.0.9", "10.0.0.9:", "10.0.0.9:0", "10.0.0.9:70000", "10.0.0:1", "a:1"}) {
    EXPECT_FALSE(ctl::SetFlow(source, "10.0.0.5:80/udp", &command).has_value()) << source;
  }
  for (const char* destination : {"", "10.0.0.5:80", "10.0.0.5:80/", "10.0.0.5:80/icmp", "10.0.0.5/udp"}) {
    EXPECT_FALSE(ctl::SetFlow("10.0.0.9:1", destination, &command).has_value()) << destination;
  }
  EXPECT_EQ(ctl::ParseBytes("64M"), uint64_t{64} << 20);
  for (const char* size : {"", "M", "1T", "-1", "99999999999999999999", "17179869184G"}) {
    EXPECT_FALSE(ctl::ParseBytes(size).has_value()) << size;
  }
}

TEST_F(CommandTest, ARecordingRunsFromStartToStopIntoTheCallersFile) {
  Start();
  const auto started = ctl::StartRecording(run(), file(), "1M");
  ASSERT_TRUE(started.has_value()) << started.error();
  EXPECT_THAT(ctl::RecordingText(*started), StartsWith("recording\n"));
  EXPECT_THAT(ctl::StartRecording(run(), dir.path() + "/second", "").error(), HasSubstr("a recording is running"));
  TurnUntil([&] { return dataplane.recorder().on(); });
  dataplane.recorder().Put(record::RecordRefuse{}, record::RecordType::kRefuse, 1, 5);
  const auto stopped = StopBesideTheLoop();
  ASSERT_TRUE(stopped.has_value()) << stopped.error();
  EXPECT_THAT(ctl::RecordingText(*stopped), StartsWith("not recording; the last one ended: stopped\n1 records"));
  std::FILE* lines = std::tmpfile();
  const auto printed = ctl::PrintRecord(file(), lines);
  EXPECT_TRUE(printed.has_value()) << printed.error();
  std::rewind(lines);
  std::vector<std::string> what;
  for (char line[4096]; std::fgets(line, sizeof line, lines) != nullptr;) {
    what.push_back(nlohmann::json::parse(line)["what"]);
  }
  std::fclose(lines);
  EXPECT_THAT(what, testing::ElementsAre("header", "refuse", "end"));
  EXPECT_THAT(ctl::StopRecording(run()).error(), HasSubstr("no recording is running"));
}

TEST_F(CommandTest, ARecordingEndsAtItsLimitWithAWholeRecord) {
  Start();
  ASSERT_TRUE(ctl::StartRecording(run(), file(), "64K").has_value());
  TurnUntil([&] { return dataplane.recorder().on(); });
  TurnUntil([&] {
    for (int i = 0; i < 100 && dataplane.recorder().on(); i++) {
      dataplane.recorder().Put(record::RecordRefuse{}, record::RecordType::kRefuse, 1, 5);
    }
    return !dataplane.recorder().on();
  });
  TurnUntil([&] { return Ask("record")["running"] == false; });
  EXPECT_EQ(Ask("record")["ended"], "limit");
  struct stat facts {};
  ASSERT_EQ(stat(file().c_str(), &facts), 0);
  EXPECT_LE(facts.st_size, 64 << 10);
  EXPECT_GT(facts.st_size, 60 << 10);
  std::FILE* lines = std::tmpfile();
  EXPECT_TRUE(ctl::PrintRecord(file(), lines).has_value());
  std::fclose(lines);
  EXPECT_TRUE(ctl::StartRecording(run(), file(), "64K").has_value()) << "and the next one may begin";
}

TEST_F(CommandTest, OnlyARegularFileOpenForWritingIsTaken) {
  Start();
  EXPECT_THAT(ctl::StartRecording(run(), "/dev/null", "").error(), HasSubstr("a regular file"));
  abi::CommandRequest command{};
  std::strcpy(command.verb, "record-start");
  EXPECT_THAT(ctl::Order(run(), command).error(), HasSubstr("needs a file"));
  std::ofstream(file()).close();
  const FileDescriptor readable(open(file().c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_THAT(ctl::Order(run(), command, readable.get()).error(), HasSubstr("open for writing"));
  EXPECT_THAT(ctl::StartRecording(run(), file(), "1K").error(), HasSubstr("at least 65536"));
}

TEST_F(CommandTest, AStopOfTheDaemonEndsTheRecording) {
  Start();
  ASSERT_TRUE(ctl::StartRecording(run(), file(), "").has_value());
  TurnUntil([&] { return dataplane.recorder().on(); });
  std::atomic<bool> stopped{false};
  std::thread stopper([&] {
    Stop();
    stopped = true;
  });
  TurnUntil([&] { return stopped.load(); });
  stopper.join();
  std::FILE* lines = std::tmpfile();
  const auto printed = ctl::PrintRecord(file(), lines);
  EXPECT_TRUE(printed.has_value()) << printed.error();
  std::fclose(lines);
}

}  // namespace
}  // namespace sluice
