// recorder_test.cc - the ring between the thread that decides and the one that drains: what comes out is what went in,
// in order and whole, and where something is missing the log says how much.
#include "iokernel/brain/recorder.h"

#include <gtest/gtest.h>

#include <random>
#include <thread>

namespace sluice {
namespace {

template <size_t kWords>
struct Numbered {
  record::RecordHead head;
  std::array<uint64_t, kWords> words;
};

constexpr uint64_t Word(uint64_t number, size_t i) { return number * 0x9e3779b97f4a7c15 + i; }

// The allocator's thread: it writes all the time while a recording is on, each record with the next number.
class Writer {
 public:
  explicit Writer(Recorder& recorder) : recorder_(recorder), thread_([this] { Run(); }) {}
  ~Writer() {
    done_ = true;
    thread_.join();
  }

  // Records of the last recording, lost ones included. Once it has ended.
  [[nodiscard]] uint64_t attempted() const { return number_; }

 private:
  void Run() {
    while (!done_) {
      if (recorder_.Turn(++now_)) number_ = 0;
      if (!recorder_.on()) {
        std::this_thread::yield();
        continue;
      }
      Put<1>();
      Lot();
      Put<3>();
    }
  }

  template <size_t kWords>
  Numbered<kWords> Make() {
    Numbered<kWords> made{{record::RecordType::kWork, 0, sizeof made, now_}, {}};
    for (size_t i = 0; i < kWords; i++) made.words[i] = Word(number_, i);
    number_++;
    return made;
  }
  template <size_t kWords>
  void Put() {
    recorder_.Put(Make<kWords>(), record::RecordType::kWork, 0, now_);
  }
  // In place, and less than was asked for.
  void Lot() {
    constexpr size_t kMost = 40;
    const auto count = static_cast<uint32_t>(random_() % kMost);
    std::byte* out = recorder_.Reserve(kMost * sizeof(Numbered<5>), now_);
    for (uint32_t i = 0; i < count; i++) {
      const auto made = Make<5>();
      if (out != nullptr) std::memcpy(out + i * sizeof made, &made, sizeof made);
    }
    if (out == nullptr) return recorder_.Miss(count);
    recorder_.Publish(count * sizeof(Numbered<5>), count);
  }

  Recorder& recorder_;
  std::minstd_rand random_;
  Ticks now_ = 0;
  uint64_t number_ = 0;
  std::atomic<bool> done_{false};
  std::thread thread_;
};

struct Log {
  uint64_t records = 0, lost = 0;
  bool ended = false;
};

Log Check(std::span<const std::byte> bytes) {
  Log log;
  while (!bytes.empty()) {
    EXPECT_FALSE(log.ended) << "the end is the last";
    record::RecordHead head{};
    if (bytes.size() >= sizeof head) std::memcpy(&head, bytes.data(), sizeof head);
    if (head.bytes < sizeof head || head.bytes > bytes.size()) {
      ADD_FAILURE() << "torn after " << log.records << " records";
      return log;
    }
    if (head.type == record::RecordType::kDropped) {
      record::RecordDropped gap;
      std::memcpy(&gap, bytes.data(), sizeof gap);
      log.lost += gap.records;
    } else if (head.type == record::RecordType::kEnd) {
      log.ended = true;
    } else {
      for (size_t i = 0; i < (head.bytes - sizeof head) / 8; i++) {
        uint64_t word = 0;
        std::memcpy(&word, bytes.data() + sizeof head + i * 8, 8);
        if (word == Word(log.records + log.lost, i)) continue;
        ADD_FAILURE() << "record " << log.records + log.lost << " is not what was written";
        return log;
      }
      log.records++;
    }
    bytes = bytes.subspan(head.bytes);
  }
  return log;
}

// Reads pieces of any size until `least` bytes have come, then stops and reads the rest.
std::vector<std::byte> Drain(Recorder& recorder, size_t least, std::minstd_rand& random) {
  std::vector<std::byte> log;
  const auto read = [&] {
    const size_t before = log.size();
    log.resize(before + 1 + random() % 10'000);
    const size_t got = recorder.Read(std::span(log).subspan(before));
    log.resize(before + got);
    return got;
  };
  while (log.size() < least) {
    if (read() == 0) std::this_thread::yield();
  }
  recorder.Stop();
  for (bool ended = false; !ended;) {
    ended = recorder.ended();
    while (read() > 0) {
    }
  }
  return log;
}

TEST(Recorder, WhatIsDrainedWhileItIsWrittenIsWholeAndInOrderAndSaysWhatIsMissing) {
  Recorder recorder;
  Writer writer(recorder);
  std::minstd_rand random(1);
  for (int recording = 0; recording < 6; recording++) {
    ASSERT_TRUE(recorder.Start());
    // Every other time the ring has been full before the first byte is read.
    const bool full = recording % 2 == 0;
    while (full && recorder.dropped() == 0) std::this_thread::yield();
    const Log log = Check(Drain(recorder, Recorder::kRingBytes * (recording / 2), random));
    EXPECT_TRUE(log.ended);
    EXPECT_EQ(log.records, recorder.records());
    EXPECT_EQ(log.lost, recorder.dropped());
    EXPECT_EQ(log.records + log.lost, writer.attempted());
    EXPECT_TRUE(!full || log.lost > 0);
  }
}

TEST(Recorder, StoppedBeforeTheNextPassItBeginsAndEndsAllTheSame) {
  Recorder recorder;
  ASSERT_TRUE(recorder.Start());
  recorder.Stop();
  recorder.Stop();
  EXPECT_TRUE(recorder.Turn(1));
  EXPECT_FALSE(recorder.ended());
  EXPECT_FALSE(recorder.Turn(2));
  EXPECT_TRUE(recorder.ended());
  std::vector<std::byte> log(1000);
  log.resize(recorder.Read(log));
  EXPECT_TRUE(Check(log).ended);
  EXPECT_TRUE(recorder.Start());
}

}  // namespace
}  // namespace sluice
