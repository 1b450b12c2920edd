// port_out.h - frames on their way to the port, sent together once per iteration.
//
// What the port does not take stays here and goes first next time. While it is nearly full the TX rings are left
// alone, so apps see back-pressure and not loss.
//
// Thread: the dataplane loop.
#pragma once

#include <rte_mbuf.h>

#include <algorithm>
#include <array>
#include <cstdint>

#include "iokernel/dataplane/port.h"

namespace sluice {

class PortOut {
 public:
  PortOut(Port& port, LoopCounters& counters) : port_(port), counters_(counters) {}
  ~PortOut() {
    if (count() > 0) rte_pktmbuf_free_bulk(&frames_[begin_], count());
  }
  PortOut(const PortOut&) = delete;
  PortOut& operator=(const PortOut&) = delete;

  [[nodiscard]] uint32_t count() const { return end_ - begin_; }
  [[nodiscard]] uint32_t room() const { return kCapacity - count(); }

  // False if there is no room; the frame is still the caller's then.
  [[nodiscard]] bool Push(rte_mbuf* frame) {
    if (room() == 0) [[unlikely]]
      return false;
    if (end_ == kCapacity) [[unlikely]]
      Compact();
    frames_[end_++] = frame;
    return true;
  }

  // Sends what the port takes; returns how many frames.
  uint32_t Flush() {
    if (count() == 0) return 0;
    uint32_t sent = 0;
    while (count() > 0) {
      const auto wanted = static_cast<uint16_t>(count() < kSendBurst ? count() : kSendBurst);
      // The frames are the port's once sent: their lengths are summed before.
      uint64_t lengths[kSendBurst];
      for (uint32_t i = 0; i < wanted; ++i) lengths[i] = frames_[begin_ + i]->pkt_len;
      const uint16_t taken = port_.TxBurst(&frames_[begin_], wanted);
      uint64_t bytes = 0;
      for (uint32_t i = 0; i < std::min(taken, wanted); ++i) bytes += lengths[i];
      port_.counters().tx_packets.Add(taken);
      port_.counters().tx_bytes.Add(bytes);
      begin_ += taken;
      sent += taken;
      if (taken < wanted) {
        port_.counters().tx_full.Add();
        break;
      }
    }
    if (begin_ == end_) begin_ = end_ = 0;
    counters_.tx_backlog.Set(count());
    return sent;
  }

 private:
  static constexpr uint32_t kCapacity = 512;
  static constexpr uint32_t kSendBurst = 64;

  void Compact() {
    std::copy(&frames_[begin_], &frames_[begin_] + count(), &frames_[0]);
    end_ -= begin_;
    begin_ = 0;
  }

  Port& port_;
  LoopCounters& counters_;
  uint32_t begin_ = 0;
  uint32_t end_ = 0;
  std::array<rte_mbuf*, kCapacity> frames_{};
};

}  // namespace sluice
