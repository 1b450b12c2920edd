// session.h - one connection to the control socket: whole messages in and out, nothing blocks.
//
// What a peer is owed waits in an outbox of bounded size and is dropped with the connection.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <vector>

#include "iokernel/control/file_descriptor.h"
#include "iokernel/control/peer.h"
#include "policies/views.h"

namespace sluice {

enum class SessionStage : uint8_t {
  kOpened,     // its first message is awaited
  kAsking,     // what it asked is being found out
  kWaiting,    // what it wants is still held by somebody who is leaving
  kMaking,     // its region is being made
  kThreads,    // its thread ids are awaited
  kAttaching,  // the loop has been told
  kAttached,
  kClosing,  // it is owed the rest of its outbox
};

class Session {
 public:
  Session(FileDescriptor socket, Peer peer) : peer_(std::move(peer)), socket_(std::move(socket)) {}

  enum class Received : uint8_t { kNothing, kMessage, kTooLong, kGone };
  // The next whole message, valid until the next call. Of the file descriptors that come with it the first is kept
  // until then, unless somebody takes it.
  Received Receive(std::span<const std::byte>* message);
  [[nodiscard]] FileDescriptor TakePassed() { return std::move(passed_); }
  void DropPassed() { passed_.Close(); }

  // Queues a message; `fd` is duplicated to the peer with it and stays the caller's until it was sent.
  void Send(std::vector<std::byte> message, int fd = -1);
  enum class Sent : uint8_t { kAll, kSome, kGone };
  Sent Flush();
  [[nodiscard]] bool owes() const { return !outbox_.empty(); }

  // Before closing: so that the peer reads our last answer, and not ECONNRESET for what we left unread.
  void Drain();

  [[nodiscard]] int fd() const { return socket_.get(); }
  [[nodiscard]] const Peer& peer() const { return peer_; }
  Peer& peer() { return peer_; }

  SessionStage stage = SessionStage::kOpened;
  AppId app = kNoApp;
  int64_t deadline_ms = 0;       // for its next message; 0: none
  int64_t send_deadline_ms = 0;  // for it to take what it is owed; 0: it is owed nothing

 private:
  struct Outgoing {
    std::vector<std::byte> bytes;
    int fd = -1;
  };
  Peer peer_;
  FileDescriptor socket_;
  std::deque<Outgoing> outbox_;
  std::vector<std::byte> inbox_;
  FileDescriptor passed_;
};

}  // namespace sluice
