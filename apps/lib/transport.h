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

#include "apps/lib/parse.h"

namespace sluice::apps {

using Clock = std::chrono::steady_clock;

inline constexpr uint16_t kNoKthread = 0xffff;
inline constexpr size_t kMaxDatagram = 1472;  // payload of a UDP datagram in an Ethernet frame

enum class TransportError : uint8_t { kTimedOut, kGone, kFull, kOther };

struct Received {
  size_t bytes = 0;
  Endpoint from;
  uint16_t steered = kNoKthread;    // the kthread that the packet was steered to
  uint16_t executing = kNoKthread;  // the kthread that the receiver ran on
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

  // An error that has been printed already is an empty sentence: libruntime itself says that iokerneld is gone.

  // Answers every datagram to `port` until a stop signal: `handler` reads `request` and writes a reply, whose length
  // it returns (0: none). It is called by many threads at once: on Linux by `workers` of them, each with a socket of
  // its own (SO_REUSEPORT); on libruntime by a uthread per datagram. Error: a sentence.
  using Handler =
      std::function<size_t(const Received& how, std::span<const std::byte> request, std::span<std::byte> reply)>;
  virtual tl::expected<void, std::string> Serve(uint16_t port, size_t workers, const Handler& handler) = 0;

  // A socket of its own port; 0: any free one. Error: a sentence.
  virtual tl::expected<std::unique_ptr<DatagramSocket>, std::string> Bind(uint16_t port) = 0;

  virtual void Spawn(std::function<void()> body) = 0;
  virtual void JoinAll() = 0;  // waits for all that were spawned
  virtual void SleepUntil(Clock::time_point time) = 0;
  virtual void Yield() = 0;  // lets another thread run, and lets the core be taken away cheaply
};

// "linux" or "sluice"; an unknown name is an error that lists them.
[[nodiscard]] tl::expected<std::unique_ptr<Transport>, std::string> MakeTransport(std::string_view name,
                                                                                  const TransportOptions& options);
[[nodiscard]] std::unique_ptr<Transport> MakeLinuxTransport();
[[nodiscard]] tl::expected<std::unique_ptr<Transport>, std::string> MakeSluiceTransport(
    const TransportOptions& options);

// True once SIGINT or SIGTERM came. CatchStopSignals() first, before any thread is started.
void CatchStopSignals();
[[nodiscard]] bool StopRequested();

// Pins the calling thread, and the threads that it makes later, to the CPUs "0,2-3". Error: a sentence.
[[nodiscard]] tl::expected<void, std::string> PinToCpus(std::string_view cpus);

// Makes the calling thread SCHED_FIFO, so that those it shares a CPU with do not delay it. Error: a sentence.
[[nodiscard]] tl::expected<void, std::string> RunRealtime();

}  // namespace sluice::apps
