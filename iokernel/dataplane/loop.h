// loop.h - the dedicated core: poll the port, steer, drain the apps' rings, allocate cores.
//
// Run() is the whole life of the dataplane thread. The control thread talks to it through two bounded
// single-producer queues: commands in, replies out. The loop looks at the command queue once every few
// microseconds whatever the load is, so an attach or a clean-up has a bounded wait.
//
// Ownership: the control thread makes a DataplaneApp (app.h) with all its memory, hands it over with kAttach,
// and gets it back with the reply to kDetach; only then may it free it. The loop never allocates.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "iokernel/abi/clock.h"
#include "iokernel/brain/allocator.h"
#include "iokernel/dataplane/app.h"
#include "iokernel/dataplane/counters.h"
#include "iokernel/dataplane/link.h"
#include "iokernel/dataplane/port.h"
#include "policies/flow_request.h"

namespace sluice {

enum class CommandKind : uint8_t {
  kAttach,  // app: becomes reachable
  kDetach,  // id: loses its cores, address and buffers; the reply returns the app
  kAsk,     // id, question: the reply returns it
};

// A question to an app's steering policy. The asker's; not to be touched until the reply.
struct FlowQuestion {
  FlowRequest flow;
  // The answer, beside what is in `flow`.
  bool answered = false;  // false: the app has gone
  // Where the kthread of an explanation is.
  CoreId core = kNoCore;  // kNoCore: it has none
  uint32_t waiting = 0;   // packets that it has not taken yet
};

struct Command {
  CommandKind kind = CommandKind::kAttach;
  AppId id = kNoApp;
  DataplaneApp* app = nullptr;
  FlowQuestion* question = nullptr;
};

struct Reply {
  CommandKind kind = CommandKind::kAttach;
  AppId id = kNoApp;
  DataplaneApp* app = nullptr;
  FlowQuestion* question = nullptr;
};

// What the loop tells the control thread by itself.
struct Notice {
  AppId id = kNoApp;
  enum class Kind : uint8_t { kUnresponsive, kFaulted } kind = Kind::kFaulted;
};

struct LoopOptions {
  AllocatorOptions allocator;
  LinkOptions link;
  abi::TickRate rate;
};

class Loop {
 public:
  Loop(const LoopOptions& options, Port& port, GrantBackend& backend);
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Dataplane thread: until Stop().
  void Run();
  // Dataplane thread, for tests and benches: one iteration at time `now`. True if it did any work.
  bool Once(Ticks now);

  // Control thread.
  [[nodiscard]] bool Post(const Command& command);  // false: queue full, try again
  [[nodiscard]] bool NextReply(Reply* reply);
  [[nodiscard]] bool NextNotice(Notice* notice);
  void Stop();
  [[nodiscard]] Recorder& recorder();  // to start, drain and stop it

  // Any thread.
  [[nodiscard]] const LoopCounters& counters() const;
  [[nodiscard]] const Allocator& allocator() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
