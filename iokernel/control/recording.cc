// recording.cc - see recording.h.
#include "iokernel/control/recording.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "iokernel/abi/clock.h"

namespace sluice {
namespace {

constexpr size_t kBufferBytes = size_t{1} << 18;
constexpr auto kDrainEvery = std::chrono::milliseconds(2);
// The loop notices a stop in its next pass. If it does not, it has stopped itself.
constexpr auto kLoopPatience = std::chrono::seconds(2);

// How much of `bytes` is whole records. The loop wrote them: their lengths are right.
size_t WholeRecords(std::span<const std::byte> bytes) {
  size_t whole = 0;
  while (whole + sizeof(record::RecordHead) <= bytes.size()) {
    record::RecordHead head;
    std::memcpy(&head, bytes.data() + whole, sizeof head);
    if (whole + head.bytes > bytes.size()) break;
    whole += head.bytes;
  }
  return whole;
}

}  // namespace

Recording::~Recording() {
  (void)Stop();
  if (thread_.joinable()) thread_.join();
}

tl::expected<void, std::string> Recording::Start(FileDescriptor file, uint64_t limit_bytes) {
  if (running_) return tl::make_unexpected("a recording is running; end it first: sluicectl record stop");
  if (!file.valid()) return tl::make_unexpected("a recording needs a file");
  struct stat facts {};
  if (fstat(file.get(), &facts) != 0 || !S_ISREG(facts.st_mode) ||
      (fcntl(file.get(), F_GETFL) & O_ACCMODE) == O_RDONLY) {
    return tl::make_unexpected("a recording needs a regular file that is open for writing");
  }
  const uint64_t limit = limit_bytes == 0 ? kDefaultLimit : limit_bytes;
  if (limit < kLeastLimit) {
    return tl::make_unexpected("a recording needs at least " + std::to_string(kLeastLimit) + " bytes, not " +
                               std::to_string(limit));
  }
  if (ftruncate(file.get(), 0) != 0) return tl::make_unexpected(std::string("the file: ") + std::strerror(errno));
  if (thread_.joinable()) thread_.join();  // it has ended
  if (!recorder_.Start()) return tl::make_unexpected("the loop has not ended the last recording yet; try again");
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  auto header = MakeFileHeader(options_, tsc_hz_, abi::ReadTsc(),
                               static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec));
  file_ = std::move(file);
  limit_bytes_ = limit;
  bytes_ = 0;
  stop_ = false;
  running_ = true;
  thread_ = std::thread([this, head = std::move(header)]() mutable { Run(std::move(head)); });
  return {};
}

tl::expected<void, std::string> Recording::Stop() {
  if (!running_) return tl::make_unexpected("no recording is running");
  recorder_.Stop();
  const std::lock_guard lock(mutex_);
  stop_ = true;
  wake_.notify_one();
  return {};
}

RecordingStatus Recording::status() const {
  RecordingStatus status;
  status.running = running_;
  status.bytes = bytes_;
  status.limit_bytes = limit_bytes_;
  status.records = recorder_.records();
  status.dropped = recorder_.dropped();
  const std::lock_guard lock(mutex_);
  status.ended = ended_;
  return status;
}

void Recording::Run(std::vector<std::byte> header) {
  pthread_setname_np(pthread_self(), "sluice-record");
  // The control thread may be real-time: it is short. This one is not.
  const sched_param ordinary{};
  (void)pthread_setschedparam(pthread_self(), SCHED_OTHER, &ordinary);
  std::string ended = Write(header) ? Copy() : std::strerror(errno);
  // Whatever the end was, the ring has to be empty before it can be used again.
  recorder_.Stop();
  std::vector<std::byte> rest(kBufferBytes);
  const auto patience = std::chrono::steady_clock::now() + kLoopPatience;
  while (!recorder_.ended() && std::chrono::steady_clock::now() < patience) {
    while (recorder_.Read(rest) > 0) {
    }
    std::this_thread::yield();
  }
  while (recorder_.Read(rest) > 0) {
  }
  file_.Close();
  const std::lock_guard lock(mutex_);
  ended_ = std::move(ended);
  running_ = false;
}

// Until the end; why it ended.
std::string Recording::Copy() {
  std::vector<std::byte> buffer(kBufferBytes);
  size_t held = 0;  // the beginning of a record whose rest is still to come
  std::chrono::steady_clock::time_point patience{};
  for (;;) {
    // Asked first: what was written before the end is read below.
    const bool ended = recorder_.ended();
    const size_t got = recorder_.Read(std::span(buffer).subspan(held));
    held += got;
    const size_t room = limit_bytes_ - bytes_ - sizeof(record::RecordEnd);
    const size_t whole = WholeRecords({buffer.data(), std::min(held, room)});
    if (!Write({buffer.data(), whole})) return std::strerror(errno);
    if (held > room && WholeRecords({buffer.data(), held}) > whole) {
      return WriteEnd(record::EndReason::kLimit) ? "limit" : std::strerror(errno);
    }
    held -= whole;
    std::memmove(buffer.data(), buffer.data() + whole, held);
    if (got > 0) continue;
    if (ended) return "stopped";
    std::unique_lock lock(mutex_);
    if (stop_ && patience == std::chrono::steady_clock::time_point{}) {
      patience = std::chrono::steady_clock::now() + kLoopPatience;
    }
    if (stop_ && std::chrono::steady_clock::now() > patience) return "the loop does not answer";
    wake_.wait_for(lock, kDrainEvery, [this, asked = stop_] { return stop_ && !asked; });
  }
}

bool Recording::Write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t wrote = write(file_.get(), bytes.data(), bytes.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return false;
    bytes = bytes.subspan(static_cast<size_t>(wrote));
    bytes_ += static_cast<uint64_t>(wrote);
  }
  return true;
}

bool Recording::WriteEnd(record::EndReason reason) {
  record::RecordEnd end{{record::RecordType::kEnd, record::kNobody, sizeof end, abi::ReadTsc()}, reason, 0};
  return Write(std::as_bytes(std::span(&end, 1)));
}

}  // namespace sluice
