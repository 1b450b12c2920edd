// recording.h - the record of decisions on its way to a file: a thread that lives while a recording does.
//
// It empties the allocator's ring (brain/recorder.h) every few milliseconds and writes whole records, up to a limit.
// What goes wrong ends the recording, never the daemon. Start, Stop, status: control thread; none of them waits.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <tl/expected.hpp>
#include <vector>

#include "iokernel/brain/recorder.h"
#include "iokernel/control/file_descriptor.h"

namespace sluice {

struct RecordingStatus {
  bool running = false;
  uint64_t bytes = 0;  // of the file
  uint64_t limit_bytes = 0;
  uint64_t records = 0;
  uint64_t dropped = 0;  // records that found no room in the ring
  std::string ended;     // why the last one ended: "stopped", "limit" or what the system said; empty: none has
};

class Recording {
 public:
  static constexpr uint64_t kLeastLimit = uint64_t{1} << 16;
  static constexpr uint64_t kDefaultLimit = uint64_t{256} << 20;

  Recording(Recorder& recorder, const AllocatorOptions& options, uint64_t tsc_hz)
      : recorder_(recorder), options_(options), tsc_hz_(tsc_hz) {}
  ~Recording();  // ends it
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;

  // Error: a sentence. `limit_bytes` 0: kDefaultLimit.
  tl::expected<void, std::string> Start(FileDescriptor file, uint64_t limit_bytes);
  // Asks for the end; status() says when the file is complete.
  tl::expected<void, std::string> Stop();
  [[nodiscard]] RecordingStatus status() const;

 private:
  void Run(std::vector<std::byte> header);
  [[nodiscard]] std::string Copy();
  [[nodiscard]] bool Write(std::span<const std::byte> bytes);
  [[nodiscard]] bool WriteEnd(record::EndReason reason);

  Recorder& recorder_;
  const AllocatorOptions& options_;
  const uint64_t tsc_hz_;
  FileDescriptor file_;
  uint64_t limit_bytes_ = 0;
  std::atomic<bool> running_{false};
  std::atomic<uint64_t> bytes_{0};
  std::thread thread_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool stop_ = false;  // guarded by mutex_
  std::string ended_;  // guarded by mutex_
};

}  // namespace sluice
