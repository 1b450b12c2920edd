// request_reply.h - one socket of UDP_RR: a number of requests in flight, each reply sends the next request.
#pragma once

#include <cstdint>
#include <vector>

#include "apps/lib/transport.h"
#include "apps/netperf/client.h"

namespace sluice::apps {

class RequestReply {
 public:
  struct Counts {
    uint64_t sent = 0;  // within the window, as all of these
    uint64_t received = 0;
    bool gone = false;  // the transport ended
    abi::Histogram latency_ns;
  };

  // Requests sent before `begin` are warm-up; from `end` on none is sent. `run` tells other clients' replies apart.
  RequestReply(DatagramSocket& socket, const NetperfOptions& options, Clock::time_point begin, Clock::time_point end,
               uint32_t run);

  // Until the replies of all requests came or were given up, or StopRequested().
  void Run();
  [[nodiscard]] const Counts& counts() const { return counts_; }

 private:
  // A request in flight. The sequence number on the wire is turn * slots + slot, so that a late reply to a request
  // that was given up matches nothing.
  struct Slot {
    uint64_t turn = 0;
    bool in_flight = false;
    Clock::time_point sent;
  };

  void SendWhileFree();
  void Receive();
  void GiveUpLost(Clock::time_point now);

  DatagramSocket& socket_;
  const NetperfOptions& options_;
  const Clock::time_point begin_;
  const Clock::time_point end_;
  const uint32_t run_;
  Counts counts_;
  std::vector<Slot> slots_;
  std::vector<size_t> free_;
  Clock::time_point look_for_lost_at_;
  std::vector<std::byte> request_;
  std::vector<std::byte> reply_;
};

}  // namespace sluice::apps
