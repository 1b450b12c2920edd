// The record of decisions: what is in it, what is left out, and that a reader is told so.
#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "iokernel/brain/record_reader.h"
#include "iokernel/brain/recorder.h"
#include "policies/registry.h"
#include "tests/unit/brain/allocator_fixture.h"

namespace sluice {
namespace {

using record::Cause;
using test::MachineOptions;
using test::PuppetApp;
using testing::ElementsAre;
using testing::HasSubstr;

class RecordTest : public test::AllocatorTest {
 protected:
  void MakeRecording(const AllocatorOptions& options) {
    Make(options);
    log = MakeFileHeader(options, 1'000'000'000, now, 0);
    ASSERT_TRUE(allocator->recorder().Start());
    Pass();
  }
  void Drain() {
    std::vector<std::byte> piece(4096 + 8);
    while (const size_t got = allocator->recorder().Read(piece))
      log.insert(log.end(), piece.begin(), piece.begin() + got);
  }
  // Stops, and reads everything.
  std::vector<record::Record> Records() {
    allocator->recorder().Stop();
    Pass();
    EXPECT_TRUE(allocator->recorder().ended());
    Drain();
    auto reader = record::Reader::Open(log);
    EXPECT_TRUE(reader.has_value()) << reader.error();
    std::vector<record::Record> records;
    for (;;) {
      auto next = reader->Next();
      EXPECT_TRUE(next.has_value()) << next.error();
      if (!next || !*next) break;
      records.push_back(**next);
    }
    EXPECT_TRUE(reader->complete());
    return records;
  }
  static std::vector<std::string> Names(const std::vector<record::Record>& records) {
    std::vector<std::string> names;
    names.reserve(records.size());
    for (const auto& r : records) names.emplace_back(record::Name(record::Head(r).type));
    return names;
  }

  std::vector<std::byte> log;
};

TEST_F(RecordTest, TheStoryOfOnePacketReadsInOrder) {
  MakeRecording(MachineOptions(1));
  PuppetApp app(3, 2, 1);
  Attach(app);
  const KthreadId k = WakeByPacket(app);
  app[k].Take(1);
  app[k].Park();
  Pass();
  allocator->Detach(3);
  const auto records = Records();
  EXPECT_THAT(Names(records), ElementsAre("attach", "work", "grant", "start", "poll", "park", "detach", "end"));
  const auto& attach = std::get<record::RecordAttach>(records[0]);
  EXPECT_EQ(attach.head.app, 3);
  EXPECT_EQ(attach.kthreads, 2);
  EXPECT_EQ(attach.guaranteed, 1);
  EXPECT_EQ(std::get<record::RecordWork>(records[1]).cause, Cause::kPacket);
  EXPECT_EQ(std::get<record::RecordGrant>(records[2]).cause, Cause::kPacket);
  const auto& poll = std::get<record::Poll>(records[4]);
  ASSERT_EQ(poll.samples.size(), 1u);
  EXPECT_EQ(poll.samples[0].rx_sent, 1u);
  EXPECT_EQ(poll.samples[0].rx_consumed, 0u);
  EXPECT_EQ(poll.samples[0].oldest_packet_age_ticks, 5000u);
  const KthreadSignals signals = record::Signals(poll.samples[0], poll.fixed.head.time);
  EXPECT_EQ(signals.oldest_packet, poll.fixed.head.time - 5000);
  EXPECT_EQ(std::get<record::RecordPark>(records[5]).next_timer_ticks, abi::kNoTimer);
}

TEST_F(RecordTest, ACoreThatIsTakenSaysForWhom) {
  MakeRecording(MachineOptions(1));
  PuppetApp hog(0, 1), owed(1, 1, 1);
  Attach(hog);
  WakeByPacket(hog);
  hog[0].Take(1);
  Attach(owed);
  Send(owed, 0);
  hog[0].Park();
  Pass();
  bool ceded = false, granted = false;
  for (const auto& r : Records()) {
    if (const auto* cede = std::get_if<record::RecordCede>(&r)) ceded = cede->head.app == 0 && cede->heir == 1;
    if (const auto* grant = std::get_if<record::RecordGrant>(&r))
      granted = grant->head.app == 1 && grant->promised == 1;
  }
  EXPECT_TRUE(ceded);
  EXPECT_TRUE(granted);
}

TEST_F(RecordTest, AnEndOfATurnSaysHowLongItWas) {
  MakeRecording(MachineOptions(1));
  PuppetApp app(0, 1);
  app.spec.slice = 100'000;
  Attach(app);
  WakeByPacket(app);
  for (int i = 0; i < 50; i++) Pass();  // the packet waits all the time
  std::vector<uint64_t> ran;
  for (const auto& r : Records()) {
    if (const auto* attach = std::get_if<record::RecordAttach>(&r)) {
      EXPECT_EQ(attach->slice_ticks, 100'000u);
    }
    if (const auto* turn = std::get_if<record::RecordTurn>(&r)) ran.push_back(turn->ran_ticks);
  }
  EXPECT_THAT(ran, ElementsAre(100'000u, 100'000u));
}

TEST_F(RecordTest, StartsWithWhatIsThere) {
  Make(MachineOptions(2));
  PuppetApp app(7, 2);
  Attach(app);
  WakeByPacket(app);
  log = MakeFileHeader(MachineOptions(2), 1'000'000'000, now, 0);
  ASSERT_TRUE(allocator->recorder().Start());
  Pass();
  const auto records = Records();
  ASSERT_GE(records.size(), 2u);
  EXPECT_EQ(std::get<record::RecordAttach>(records[0]).head.app, 7);
  EXPECT_EQ(std::get<record::RecordGrant>(records[1]).cause, Cause::kSnapshot);
}

TEST_F(RecordTest, QuietPollsAreCountedNotWritten) {
  MakeRecording(MachineOptions(1));
  PuppetApp app(0, 1);
  Attach(app);
  WakeByPacket(app);
  app[0].Take(1);
  for (int i = 0; i < 200; i++) Pass();
  uint32_t polls = 0, written = 0;
  for (const auto& r : Records()) {
    if (const auto* poll = std::get_if<record::Poll>(&r)) polls += poll->fixed.polls, written++;
  }
  EXPECT_LT(written, 8u);
  EXPECT_GT(polls, 200u - record::kQuietPolls);
}

// Fed to a policy of the same name, the log makes it say the same.
TEST_F(RecordTest, RecordedSignalsGiveTheRecordedVerdicts) {
  MakeRecording(MachineOptions(4));
  PuppetApp app(0, 4);
  Attach(app);
  Spread(app, 4);
  for (int i = 0; i < 300; i++) {
    app[i % 4].Spawn(i % 3, now);
    if (i % 5 != 0) app[i % 4].RunUthreads(app[i % 4].uthreads());
    Pass();
  }
  const auto policy = MakeCongestion("standing-queue", {.interval = 5000});
  policy->Attach(0, 4);
  size_t verdicts = 0, congested = 0;
  for (const auto& r : Records()) {
    const auto* poll = std::get_if<record::Poll>(&r);
    if (poll == nullptr) continue;
    std::vector<KthreadSignals> signals, before;
    signals.reserve(poll->samples.size());
    before.reserve(poll->samples.size());
    for (const auto& sample : poll->samples) signals.push_back(record::Signals(sample, poll->fixed.head.time));
    for (const KthreadSignals& s : signals) before.push_back(record::QuietBefore(s));
    if (poll->fixed.polls > 1) (void)policy->Poll(0, before, 0);
    EXPECT_EQ(static_cast<uint16_t>(policy->Poll(0, signals, poll->fixed.head.time)), poll->fixed.verdict);
    verdicts++;
    congested += poll->fixed.verdict == 1;
  }
  EXPECT_GT(verdicts, 100u);
  EXPECT_GT(congested, 10u);
}

TEST_F(RecordTest, WhatFindsNoRoomIsCountedInItsPlace) {
  MakeRecording(MachineOptions(1));
  PuppetApp app(0, 1);
  const size_t enough = Recorder::kRingBytes / sizeof(record::RecordAttach);
  for (size_t i = 0; i < enough; i++) {
    Attach(app);
    allocator->Detach(0);
  }
  const uint64_t lost = allocator->recorder().dropped();
  EXPECT_GT(lost, 0u);
  Drain();
  Attach(app);
  allocator->Detach(0);
  uint64_t said = 0;
  size_t after = 0;
  for (const auto& r : Records()) {
    if (said > 0) after++;
    if (const auto* gap = std::get_if<record::RecordDropped>(&r)) said += gap->records;
  }
  EXPECT_EQ(said, lost);
  EXPECT_EQ(after, 3u);  // attach, detach, end
}

TEST_F(RecordTest, AFullRingStillEnds) {
  MakeRecording(MachineOptions(1));
  PuppetApp app(0, 1);
  for (size_t i = 0; i < Recorder::kRingBytes / 16; i++) {
    Attach(app);
    allocator->Detach(0);
  }
  const auto records = Records();
  EXPECT_TRUE(std::holds_alternative<record::RecordEnd>(records.back()));
}

TEST_F(RecordTest, CanBeStartedAgainOnceItWasReadToItsEnd) {
  MakeRecording(MachineOptions(1));
  allocator->recorder().Stop();
  EXPECT_FALSE(allocator->recorder().Start()) << "the loop has not seen the stop yet";
  Pass();
  EXPECT_FALSE(allocator->recorder().Start()) << "the end has not been read yet";
  Drain();
  EXPECT_TRUE(allocator->recorder().Start());
}

// --- the reader ---------------------------------------------------------------------------------------

TEST(RecordFormat, IsPinned) {
  EXPECT_EQ(record::kRecordVersion, 2u) << "a version of its own for each layout";
  const auto header = MakeFileHeader(MachineOptions(3), 2'600'000'000, 77, 88);
  ASSERT_EQ(header.size(), 184u + 3 * 8);
  EXPECT_EQ(std::memcmp(header.data(), "SLUICREC", 8), 0);
  uint32_t version = 0;
  std::memcpy(&version, header.data() + 8, 4);
  EXPECT_EQ(version, 2u);
  EXPECT_STREQ(reinterpret_cast<const char*>(header.data() + 88), "memoized");
}

TEST(RecordReader, GivesTheOptionsBack) {
  AllocatorOptions options = MachineOptions(4);
  options.cores[1].sibling = 0;
  options.cores[0].sibling = 1;
  options.cores[3].node = 1;
  options.shared_cpus = true;
  options.pick = "scan";
  const auto log = MakeFileHeader(options, 1'000'000'000, 0, 0);
  const auto reader = record::Reader::Open(log);
  ASSERT_TRUE(reader.has_value());
  const AllocatorOptions again = reader->Options();
  EXPECT_EQ(again.cores.size(), 4u);
  EXPECT_EQ(again.cores[1].sibling, 0);
  EXPECT_EQ(again.cores[3].node, 1);
  EXPECT_EQ(again.interval, options.interval);
  EXPECT_TRUE(again.shared_cpus);
  EXPECT_EQ(again.pick, "scan");
}

TEST(RecordReader, ACutOffLogIsReadToTheCutAnAlteredOneIsRefused) {
  auto log = MakeFileHeader(MachineOptions(2), 1'000'000'000, 0, 0);
  const size_t start = log.size();
  const record::RecordRefuse refuse{{record::RecordType::kRefuse, 1, sizeof refuse, 5}};
  log.resize(start + sizeof refuse);
  std::memcpy(log.data() + start, &refuse, sizeof refuse);
  for (size_t cut = 0; cut < start; cut++) {
    EXPECT_FALSE(record::Reader::Open(std::span(log).first(cut)).has_value());
  }
  for (size_t cut = start; cut < log.size(); cut++) {
    auto reader = record::Reader::Open(std::span(log).first(cut));
    ASSERT_TRUE(reader.has_value());
    const auto next = reader->Next();
    ASSERT_TRUE(next.has_value());
    EXPECT_FALSE(next->has_value());
    EXPECT_FALSE(reader->complete());
  }
  log[start + 2] = std::byte{0xff};
  log[start + 3] = std::byte{0x0f};  // an app that cannot be
  auto reader = record::Reader::Open(log);
  ASSERT_TRUE(reader.has_value());
  const auto next = reader->Next();
  ASSERT_FALSE(next.has_value());
  EXPECT_THAT(next.error(), HasSubstr("byte 200"));
}

TEST(RecordReader, AnotherVersionIsNamed) {
  auto log = MakeFileHeader(MachineOptions(1), 1'000'000'000, 0, 0);
  log[8] = std::byte{9};
  const auto reader = record::Reader::Open(log);
  ASSERT_FALSE(reader.has_value());
  EXPECT_THAT(reader.error(), HasSubstr("version 9"));
}

}  // namespace
}  // namespace sluice
