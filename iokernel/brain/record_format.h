// record_format.h - the file of recorded decisions: what the allocator saw and what it did about it.
//
//   FileHeader | CoreEntry x cores | record | record | ... | RecordEnd
//
// Numbers are little endian, a record starts with a RecordHead and is a multiple of 8 bytes long, times are TSC ticks
// (FileHeader::tsc_hz). The log starts with a RecordAttach for each app that is attached and a RecordGrant for each
// core that is held, so that it can be read on its own.
//
// Every decision is in it, or counted by a RecordDropped. Signals are in it as far as they say anything: a poll of an
// app is left out if the verdict is kKeep, all its queues are empty and were empty at the poll before, and fewer than
// kQuietPolls were left out in a row. Where more kthreads have queues than may be written of (kSamplesPerPass, on the
// average), apps take turns: a verdict is then written without its samples. RecordPoll::polls says how many polls have
// gone by, so a reader knows what he has not seen.
//
// Written by iokernel/brain/recorder.h, read by record_reader.h. tests/unit/brain/record_test.cc pins this file:
// whoever changes a size raises kRecordVersion.
#pragma once

#include <array>
#include <cstdint>

namespace sluice::record {

inline constexpr uint64_t kRecordMagic = 0x4345'5243'4955'4c53;  // "SLUICREC"
inline constexpr uint32_t kRecordVersion = 2;
inline constexpr uint32_t kPolicyNameBytes = 32;
inline constexpr uint32_t kQuietPolls = 64;
inline constexpr uint32_t kSamplesPerPass = 16;
inline constexpr uint16_t kNobody = 0xffff;  // no app, no kthread, no core
inline constexpr uint64_t kNoTimer = ~uint64_t{0};

struct FileHeader {
  uint64_t magic;
  uint32_t version;
  uint32_t header_bytes;  // with the core entries: where the first record is
  uint64_t tsc_hz;
  uint64_t start_ticks;
  uint64_t start_unix_ns;
  uint64_t interval_ticks;
  uint64_t cede_grace_ticks;
  uint64_t cede_resend_ticks;
  uint64_t cede_give_up_ticks;  // 0: never
  uint32_t grants_per_pass;
  uint16_t cores;
  uint16_t nic_node;
  uint32_t shared_cpus;  // 1: several core slots are on one CPU
  uint32_t reserved;
  std::array<char, kPolicyNameBytes> pick;  // names end in NUL
  std::array<char, kPolicyNameBytes> congestion;
  std::array<char, kPolicyNameBytes> placement;
};
static_assert(sizeof(FileHeader) == 184);

struct CoreEntry {
  uint16_t cpu;
  uint16_t node;
  uint16_t sibling;  // core slot, or kNobody
  uint16_t reserved;
};
static_assert(sizeof(CoreEntry) == 8);

// No record is longer: a poll of as many kthreads as there can be cores.
inline constexpr uint32_t kMaxRecordBytes = 24 + 1024 * 32;

enum class RecordType : uint16_t {
  kAttach = 1,
  kDetach = 2,
  kPoll = 3,
  kWork = 4,
  kGrant = 5,
  kStart = 6,
  kPark = 7,
  kCede = 8,
  kEvict = 9,
  kRefuse = 10,
  kDropped = 11,
  kEnd = 12,
  kTurn = 13,
};

struct RecordHead {
  RecordType type;
  uint16_t app;    // kNobody where it is about none
  uint32_t bytes;  // of the whole record
  uint64_t time;
};
static_assert(sizeof(RecordHead) == 16);

// An app came, or was there when recording started.
struct RecordAttach {
  RecordHead head;
  uint16_t kthreads;
  uint16_t guaranteed;
  uint16_t best_effort;  // 1: Priority::kBestEffort
  uint16_t reserved;
  uint64_t slice_ticks;  // 0: its uthreads run as long as they like
};
static_assert(sizeof(RecordAttach) == 32);

struct RecordDetach {
  RecordHead head;
};

// One running kthread in a poll. An age of kMaxAge means that or more.
inline constexpr uint32_t kMaxAge = 0xffffffff;
struct KthreadSample {
  uint16_t kthread;
  uint16_t reserved;
  uint32_t rq_head, rq_tail;         // run queue: taken, made runnable; modulo 2^32
  uint32_t rx_sent, rx_consumed;     // packets; modulo 2^32
  uint32_t oldest_packet_age_ticks;  // 0: none waits
  uint32_t oldest_uthread_age_ticks;
  uint32_t busy_ticks;  // since attach, modulo 2^32
};
static_assert(sizeof(KthreadSample) == 32);

// What the congestion policy was shown, and what it said. Followed by `samples` KthreadSamples.
struct RecordPoll {
  RecordHead head;
  uint16_t verdict;  // Congestion: 0 keep, 1 add a core, 2 give one up
  uint16_t samples;  // 0: left out
  uint32_t polls;    // of this app since the last one in the log, this one included
};
static_assert(sizeof(RecordPoll) == 24);

// Why an app wants a core, and why a kthread was granted one.
enum class Cause : uint16_t {
  kCongestion = 0,  // the congestion policy said so
  kPacket = 1,      // packets wait for a parked kthread
  kTimer = 2,
  kUthread = 3,   // a parked kthread left runnable uthreads, or was preempted inside one
  kKick = 4,      // the inbox of a sleeping app
  kSnapshot = 5,  // held when recording started
};

// A parked kthread has something to do, or nobody's in particular of a sleeping app has.
struct RecordWork {
  RecordHead head;
  uint16_t kthread;  // kNobody: the app's inbox, or packets that are to be steered to whoever gets a core
  Cause cause;
  uint32_t reserved;
};
static_assert(sizeof(RecordWork) == 24);

struct RecordGrant {
  RecordHead head;
  uint16_t kthread;
  uint16_t core;
  Cause cause;
  uint16_t promised;  // 1: the core was taken back from another app for this one
};
static_assert(sizeof(RecordGrant) == 24);

// The kthread runs.
struct RecordStart {
  RecordHead head;
  uint16_t kthread;
  uint16_t core;
  uint32_t reserved;
  uint64_t took_ticks;  // since the grant
};
static_assert(sizeof(RecordStart) == 32);

struct RecordPark {
  RecordHead head;
  uint16_t kthread;
  uint16_t core;
  uint16_t preempted;  // 1: inside a uthread
  uint16_t ceded;      // 1: it was asked to
  uint64_t next_timer_ticks;
};
static_assert(sizeof(RecordPark) == 32);

// A core is asked back, for `heir`; kNobody: the congestion policy said that the app has one too many.
struct RecordCede {
  RecordHead head;
  uint16_t kthread;
  uint16_t core;
  uint16_t heir;
  uint16_t reserved;
};
static_assert(sizeof(RecordCede) == 24);

struct RecordEvict {
  RecordHead head;
  uint16_t kthread;
  uint16_t core;
  uint32_t reserved;
};
static_assert(sizeof(RecordEvict) == 24);

// A uthread has had its slice while others of its kthread wait: it is asked to let them go first.
struct RecordTurn {
  RecordHead head;
  uint16_t kthread;
  uint16_t core;
  uint32_t reserved;
  uint64_t ran_ticks;  // since it began, or was asked last
};
static_assert(sizeof(RecordTurn) == 32);

// The app wants a core and there is none to give; written in the first pass of a row of such passes.
struct RecordRefuse {
  RecordHead head;
};

// What found no room in the ring between the loop and the file.
struct RecordDropped {
  RecordHead head;
  uint64_t records;
};
static_assert(sizeof(RecordDropped) == 24);

enum class EndReason : uint32_t { kStopped = 0, kLimit = 1, kWriteFailed = 2 };

struct RecordEnd {
  RecordHead head;
  EndReason reason;
  uint32_t reserved;
};
static_assert(sizeof(RecordEnd) == 24);

}  // namespace sluice::record
