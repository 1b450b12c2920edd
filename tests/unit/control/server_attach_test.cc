// server_attach_test.cc - an app attaches, leaves or dies; what the loop gives up on; the end.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "iokernel/abi/region.h"
#include "tests/unit/control/server_fixture.h"

namespace sluice {
namespace {

using abi::AnswerCode;
using testing::ElementsAre;

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

// A supervisor starts the next one as soon as the last is dead.
TEST_F(ServerTest, ASuccessorWaitsForWhoIsJustLeaving) {
  Start();
  Client first = Connected();
  ASSERT_EQ(first.Attach(AttachAs("fixed")).code, AnswerCode::kOk);
  dataplane.Hold(true);
  first.Close();
  dataplane.Await(2);
  Client again = Connected();
  again.Send(AttachAs("fixed"));
  EXPECT_FALSE(Ask("apps").is_discarded());  // asked later, answered before
  dataplane.Hold(false);
  const auto answer = again.Receive<abi::AttachAnswer>();
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->code, AnswerCode::kOk) << answer->sentence;
}

TEST_F(ServerTest, ASuccessorIsToldWhoDoesNotLeaveInTime) {
  options.first_message_ms = 50;
  Start();
  Client first = Connected();
  ASSERT_EQ(first.Attach(AttachAs("fixed")).code, AnswerCode::kOk);
  dataplane.Hold(true);
  first.Close();
  dataplane.Await(2);
  EXPECT_EQ(Connected().Attach(AttachAs("fixed")).sentence,
            "the name fixed is held by " + kMe + ", which is just leaving");
  dataplane.Hold(false);
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
