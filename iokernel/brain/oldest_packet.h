// oldest_packet.h - how long the oldest packet that a kthread has not taken yet has been waiting.
//
// The IOKernel knows it by itself: it notes (position, time) of each lot it sends. Eight notes at most; when they
// are used up every second one is forgotten, and a packet whose note is gone is taken for as old as the one
// before it. So the answer never makes a packet younger than it is.
#pragma once

#include <array>
#include <cstdint>

#include "policies/views.h"

namespace sluice {

class OldestPacket {
 public:
  // A lot has been sent whose first message has position `first` (modulo 2^32).
  void Sent(uint32_t first, Ticks now) {
    if (count_ > 0 && notes_[count_ - 1].at == now) return;
    if (count_ == notes_.size()) {
      for (uint32_t i = 1; i < notes_.size() / 2; i++) notes_[i] = notes_[2 * i];
      count_ = notes_.size() / 2;
    }
    notes_[count_++] = {first, now};
  }

  // The consumer has taken all messages before `consumed`. When the next one was sent; 0: there is none.
  Ticks Consumed(uint32_t consumed, uint32_t sent) {
    if (consumed == sent) {
      count_ = 0;
      return 0;
    }
    if (count_ == 0) return 0;
    uint32_t passed = 0;
    while (passed + 1 < count_ && static_cast<int32_t>(notes_[passed + 1].first - consumed) <= 0) passed++;
    if (passed > 0) {
      count_ -= passed;
      for (uint32_t i = 0; i < count_; i++) notes_[i] = notes_[i + passed];
    }
    return notes_[0].at;
  }

 private:
  struct Note {
    uint32_t first = 0;
    Ticks at = 0;
  };
  uint32_t count_ = 0;
  std::array<Note, 8> notes_;
};

}  // namespace sluice
