// control.h - the messages on the control socket, a Unix SOCK_SEQPACKET named `control` in the run directory.
//
//   app -> IOKernel  AttachRequest                     IOKernel -> app  AttachAnswer (+ the region's memfd)
//   app -> IOKernel  ThreadsReady (+ n thread ids)     IOKernel -> app  Answer
//   sluicectl ->     Query or Command                  IOKernel ->      QueryAnswer ... (text in pieces)
//
// Each message starts with a MessageHead; its length is the datagram's. Every message has a deadline; a peer
// that misses it is told so and closed. The socket staying open is the attachment: when it closes the app is
// gone, and when the IOKernel closes it the app is detached. An app may attach again in a live process; each
// attach has an epoch of its own.
#pragma once

#include <cstddef>
#include <cstdint>

#include "iokernel/abi/region.h"
#include "iokernel/abi/version.h"

namespace sluice::abi {

inline constexpr size_t kMaxName = 32;       // bytes of an app's or policy's name, with the final NUL
inline constexpr size_t kMaxSentence = 232;  // bytes of an answer's sentence, with the final NUL
inline constexpr size_t kMaxControlMessage = 8192;

enum class ControlType : uint32_t {
  kAttach = 1,
  kAttachAnswer = 2,
  kThreadsReady = 3,
  kAnswer = 4,
  kQuery = 5,
  kQueryAnswer = 6,
  kCommand = 7,
};

enum class AnswerCode : uint32_t {
  kOk = 0,
  kMalformed = 1,  // a message of the wrong length, type or content
  kVersion = 2,    // the ABI versions differ
  kAddressTaken = 3,
  kNoFreeAddress = 4,
  kAddressNotOurs = 5,  // outside the IOKernel's network
  kNameTaken = 6,
  kNoCores = 7,  // the sum of guarantees would exceed the cores
  kNoMemory = 8,
  kTooManyApps = 9,
  kForeignThread = 10,  // a thread id that is not the peer's
  kUnknownPolicy = 11,
  kPermission = 12,
  kDeadline = 13,
  kUnknownQuery = 14,
  kNotPossible = 15,  // a command that makes sense, but not now or not here
};

struct MessageHead {
  uint64_t magic;
  uint32_t version;
  ControlType type;
};

struct AttachRequest {
  MessageHead head;
  uint64_t features;  // offered
  char name[kMaxName];
  char steering[kMaxName];  // wished, or empty
  uint32_t address;         // IPv4, host order; 0: the entry's own, else any free one
  uint32_t kthreads;        // wished maximum; 0: as configured
  uint32_t guaranteed;      // wished; 0: as configured
  uint32_t priority;        // 0: as configured, 1 latency-critical, 2 best-effort
  uint32_t flows;           // capacity of a flow table; 0: as configured
  uint32_t reserved[15];
};
static_assert(sizeof(AttachRequest) == 168);

struct AttachAnswer {
  MessageHead head;
  AnswerCode code;
  uint32_t reserved0;
  char sentence[kMaxSentence];  // for a person, when code is not kOk
  uint64_t region_bytes;
  uint64_t epoch;
};
static_assert(sizeof(AttachAnswer) == 272);

// Followed by `count` uint32_t thread ids, kthread 0 first.
struct ThreadsReady {
  MessageHead head;
  uint64_t epoch;
  uint32_t count;
  uint32_t reserved0;
};
static_assert(sizeof(ThreadsReady) == 32);

struct Answer {
  MessageHead head;
  AnswerCode code;
  uint32_t reserved0;
  char sentence[kMaxSentence];
};
static_assert(sizeof(Answer) == 256);

// `what`: "stat", "apps", "policies", "record". The answer is one JSON text.
struct Query {
  MessageHead head;
  char what[kMaxName];
};
static_assert(sizeof(Query) == 48);

// `verb`: "explain", "flow-add", "flow-del", "flow-list", "record-start" (comes with the file, open for writing),
// "record-stop". Fields that a verb does not need are 0. Answered like a query.
struct CommandRequest {
  MessageHead head;
  char verb[kMaxName];
  char app[kMaxName];    // flow-list: of this app only; empty: of all
  uint32_t source;       // the flow's packets to the app: addresses and ports in host order
  uint32_t destination;  // of the app
  uint16_t source_port;
  uint16_t destination_port;
  uint16_t home;  // flow-add: 0xffff: any
  uint8_t protocol;
  uint8_t reserved0;
  uint64_t limit_bytes;  // record-start: of the file
  uint32_t reserved[8];
};
static_assert(sizeof(CommandRequest) == 136);

// Followed by text; the last piece has `more` == 0.
struct QueryAnswer {
  MessageHead head;
  AnswerCode code;
  uint32_t more;
};
static_assert(sizeof(QueryAnswer) == 24);

}  // namespace sluice::abi
