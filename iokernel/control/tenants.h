// tenants.h - the attached apps, from the making of their memory to its freeing.
//
//   making -> ready -> attaching -> attached -> detaching -> freeing -> (gone)
//
// Leave() is allowed in every stage and takes the shortest way to gone. Thread: the control thread.
//
// Invariants
//  1. an AppId is reused only after the loop has answered kDetach and the memory has been freed.
//  2. the backend knows an app's threads from before kAttach is posted until after kDetach is answered.
//  3. commands reach the loop in the order in which they were given.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "iokernel/control/admission.h"
#include "iokernel/control/gateway.h"
#include "iokernel/control/workshop.h"
#include "iokernel/grant/backend.h"

namespace sluice {

struct Tenant {
  enum class Stage : uint8_t { kMaking, kReady, kAttaching, kAttached, kDetaching, kFreeing };
  Stage stage = Stage::kMaking;
  bool leaving = false;  // nobody wants it any more
  AppParams params;
  pid_t pid = 0;
  std::string command;
  uint64_t session = 0;
  std::vector<uint32_t> tids;  // enrolled, if not empty
  std::unique_ptr<DataplaneApp> app;
};

class Tenants {
 public:
  Tenants(DataplaneGateway& dataplane, GrantBackend& backend) : dataplane_(dataplane), backend_(backend) {}

  // Starts making the app's memory; kNoApp if there are as many as can be. Gives it its id and epoch.
  AppId Add(AppParams params, pid_t pid, std::string command, uint64_t session);
  // Precondition: stage kReady. Tells the backend, then the loop.
  void Attach(AppId id, std::vector<uint32_t> tids);
  void Leave(AppId id);
  // Has the loop ask the app's steering policy. Precondition: stage kAttached, and not leaving.
  void Ask(AppId id, FlowQuestion& question);

  struct Event {
    enum class Kind : uint8_t {
      kMade,
      kNotMade,
      kAttached,
      kUnresponsive,
      kFaulted,
      kGone,
      kAnswered,  // question, as it was given to Ask
    } kind = Kind::kMade;
    AppId id = kNoApp;
    uint64_t session = 0;
    std::string text;  // kNotMade: why; kGone: its name, once nothing of it is left but memory
    FlowQuestion* question = nullptr;
  };
  // Moves everything on as far as it goes; returns what the server must know, one by one.
  std::optional<Event> Next();

  [[nodiscard]] Tenant& at(AppId id) { return *slots_[id]; }
  [[nodiscard]] std::vector<const Tenant*> List() const;
  [[nodiscard]] std::vector<Holder> Holders() const;
  // The app that has enrolled one of these threads, or null.
  [[nodiscard]] const Tenant* EnrolledBy(std::span<const uint32_t> tids) const;
  [[nodiscard]] bool empty() const { return count_ == 0; }
  // An answer of the loop is awaited: look again soon.
  [[nodiscard]] bool hurried() const { return awaited_ > 0 || !commands_.empty(); }
  [[nodiscard]] int workshop_fd() const { return workshop_.fd(); }

 private:
  void Post(CommandKind kind, Tenant& tenant);
  void Free(Tenant& tenant);
  std::optional<Event> OnDone(Workshop::Done done);
  std::optional<Event> OnReply(const Reply& reply);

  DataplaneGateway& dataplane_;
  GrantBackend& backend_;
  std::array<std::unique_ptr<Tenant>, kMaxApps> slots_;
  size_t count_ = 0;
  uint64_t epoch_ = 0;
  std::deque<Command> commands_;  // not yet taken by the loop's queue
  size_t awaited_ = 0;            // replies
  Workshop workshop_;             // last: it ends first, and frees what is left
};

}  // namespace sluice
