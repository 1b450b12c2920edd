// record_reader.h - reads a file of recorded decisions (record_format.h), and believes nothing in it.
//
// A log may be cut off anywhere (the daemon was killed): that is no error, `complete()` says so. Anything else that
// is not as the format says is one, with the place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <tl/expected.hpp>
#include <variant>
#include <vector>

#include "iokernel/brain/allocator.h"
#include "iokernel/brain/record_format.h"

namespace sluice::record {

// A poll with its samples, which lie in the bytes that are read.
struct Poll {
  RecordPoll fixed;
  std::span<const KthreadSample> samples;
};
using Record = std::variant<RecordAttach, RecordDetach, Poll, RecordWork, RecordGrant, RecordStart, RecordPark,
                            RecordCede, RecordEvict, RecordTurn, RecordRefuse, RecordDropped, RecordEnd>;

[[nodiscard]] const RecordHead& Head(const Record& record);
// "grant", "poll", ...
[[nodiscard]] const char* Name(RecordType type);
[[nodiscard]] const char* Name(Cause cause);
// The signals as the congestion policy was shown them.
[[nodiscard]] KthreadSignals Signals(const KthreadSample& sample, Ticks time);
// The signals of a poll before that one that was left out because its queues were empty. (What had been taken from them
// until then is not known; that nothing was left in them is.)
[[nodiscard]] KthreadSignals QuietBefore(KthreadSignals signals);

class Reader {
 public:
  // `log`: the whole file. It outlives the reader and is 8-byte aligned (as what mmap and new return is).
  [[nodiscard]] static tl::expected<Reader, std::string> Open(std::span<const std::byte> log);

  [[nodiscard]] const FileHeader& header() const { return header_; }
  [[nodiscard]] std::span<const CoreEntry> cores() const { return cores_; }
  // The allocator that was recorded, to make one like it.
  [[nodiscard]] AllocatorOptions Options() const;

  // The next record; nothing at the end. Records are in the order in which things happened.
  [[nodiscard]] tl::expected<std::optional<Record>, std::string> Next();
  // After the last record: whether the log ends as one that was stopped, and not in the middle.
  [[nodiscard]] bool complete() const { return complete_; }

 private:
  Reader() = default;

  FileHeader header_{};
  std::vector<CoreEntry> cores_;
  std::span<const std::byte> log_;
  size_t at_ = 0;
  bool complete_ = false;
};

}  // namespace sluice::record
