// control_client.h - the app's end of the control socket: attach, report the kthreads, notice the IOKernel's end.
//
//   ControlClient::Attach -> (start kthreads on the region) -> ReportThreads -> Watch
//
// Attach can run again in a live process: an attachment is a value, and nothing outside of it points into its
// region. Threads: one at a time; the watcher is a pthread of its own, with every signal blocked.
// Blocking calls have deadlines; none is made on the data path.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <thread>
#include <tl/expected.hpp>

#include "iokernel/abi/control.h"
#include "runtime/io/mapped_region.h"
#include "runtime/io/unique_fd.h"

namespace sluice::io {

// The IOKernel's run directory: `configured`, else SLUICE_RUN_DIR, else /run/sluice.
[[nodiscard]] std::string RunDirectory(const std::string& configured);

// Why an attach failed: the code of the IOKernel's answer (kOk: it never came to an answer) and a sentence.
struct Refusal {
  abi::AnswerCode code = abi::AnswerCode::kOk;
  std::string sentence;
};

class ControlClient {
 public:
  // How long the IOKernel may take for an answer. It prefaults the region before it answers.
  static constexpr std::chrono::seconds kAnswerDeadline{10};

  // Fills in the request's head; all else is the caller's wish.
  static tl::expected<ControlClient, Refusal> Attach(const std::string& run_dir, abi::AttachRequest request,
                                                     std::chrono::milliseconds deadline = kAnswerDeadline);

  ControlClient(ControlClient&&) = default;

  [[nodiscard]] const RegionView& region() const { return region_.view(); }
  [[nodiscard]] uint64_t epoch() const { return epoch_; }
  [[nodiscard]] pid_t iokernel_pid() const { return iokernel_pid_; }

  // Tells the IOKernel which threads are the kthreads, number 0 first. From the answer on it may grant cores.
  tl::expected<void, Refusal> ReportThreads(std::span<const uint32_t> thread_ids);

  // Starts the watcher: when the IOKernel closes the socket, or dies, it prints one line on stderr and calls
  // `gone` once, from its own thread. StopWatching ends it; after that `gone` is not called.
  void Watch(std::function<void()> gone);
  void StopWatching();

  ~ControlClient() { StopWatching(); }

 private:
  ControlClient() = default;

  UniqueFd socket_;
  MappedRegion region_;
  uint64_t epoch_ = 0;
  pid_t iokernel_pid_ = 0;
  std::chrono::milliseconds deadline_ = kAnswerDeadline;
  UniqueFd stop_;  // an eventfd; raised to end the watcher
  std::thread watcher_;
};

}  // namespace sluice::io
