// transport.h - datagram sockets and threads, so that one program runs on Linux sockets and on libruntime.
//
// A thread here is a pthread on Linux and a uthread on libruntime; a call that waits blocks that thread alone.
// Threads: a socket may be used by several threads of its transport at once.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "apps/lib/parse.h"

namespace sluice::apps {

using Clock = std::chrono::steady_clock;

inline constexpr uint16_t kNoKthread = 0xffff;

enum class TransportError : uint8_t { kTimedOut, kGone, kFull, kOther };

struct Received {
  size_t bytes = 0;
  Endpoint from;
  uint16_t steered = kNoKthread;    // the kthread that the packet was steered to
  uint16_t executing = kNoKthread;  // the kthread that this thread runs on now
};

class DatagramSocket {
 public:
  virtual ~DatagramSocket() = default;
  // Waits for one datagram until `deadline`. What does not fit is cut off.
  virtual tl::expected<Received, TransportError> Receive(std::span<std::byte> buffer, Clock::time_point deadline) = 0;
  virtual tl::expected<void, TransportError> Send(std::span<const std::byte> bytes, const Endpoint& to) = 0;
};

struct TransportOptions {
  std::string name;         // this app's, in iokerneld's table
  std::string run_dir;      // of iokerneld; empty: SLUICE_RUN_DIR, or the default
  std::string address;      // wished; empty: any
  uint32_t kthreads = 0;    // wished maximum; 0: as configured
  uint32_t guaranteed = 0;  // wished; 0: as configured
  bool best_effort = false;
};

class Transport {
 public:
  virtual ~Transport() = default;
  [[nodiscard]] virtual std::string_view name() const = 0;

  // Runs `main` as the first thread; its result is the exit status. Called once.
  virtual int Run(const std::function<int()>& main) = 0;

  // `count` sockets for the datagrams to one port (0: any free one), which share the load: on Linux they are
  // different ones (SO_REUSEPORT), on libruntime the same one `count` times. Error: a sentence.
  using Group = std::vector<std::shared_ptr<DatagramSocket>>;
  virtual tl::expected<Group, std::string> Bind(uint16_t port, size_t count) = 0;

  virtual void Spawn(std::function<void()> body) = 0;
  virtual void JoinAll() = 0;  // waits for all that were spawned
  virtual void SleepUntil(Clock::time_point time) = 0;
};

// "linux" or "sluice"; an unknown name is an error that lists them.
[[nodiscard]] tl::expected<std::unique_ptr<Transport>, std::string> MakeTransport(std::string_view name,
                                                                                  const TransportOptions& options);
[[nodiscard]] std::unique_ptr<Transport> MakeLinuxTransport();
[[nodiscard]] std::unique_ptr<Transport> MakeSluiceTransport(const TransportOptions& options);

// True once SIGINT or SIGTERM came. CatchStopSignals() first, before any thread is started.
void CatchStopSignals();
[[nodiscard]] bool StopRequested();

// Pins the calling thread, and the threads that it makes later, to the CPUs "0,2-3". Error: a sentence.
[[nodiscard]] tl::expected<void, std::string> PinToCpus(std::string_view cpus);

// Makes the calling thread SCHED_FIFO, so that those it shares a CPU with do not delay it. Error: a sentence.
[[nodiscard]] tl::expected<void, std::string> RunRealtime();

}  // namespace sluice::apps
