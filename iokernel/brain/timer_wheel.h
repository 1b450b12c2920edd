// timer_wheel.h - the timers of parked kthreads: arm and disarm in O(1), and nothing to do until one is due.
//
// A hierarchical wheel of eleven levels of 64 slots, which cover all of time at a resolution of one tick: an entry lies
// at the level of the highest base-64 digit in which its time differs from the wheel's. Entries are part of what they
// belong to, so nothing is ever allocated. Source: Varghese and Lauck, SOSP'87, scheme 7.
//
// Invariant: at level l all entries agree with `elapsed_` in the digits above l and are later in digit l (level 0: not
// earlier). So the first used slot of the lowest used level holds the earliest entries.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

#include "iokernel/abi/grant.h"
#include "policies/views.h"

namespace sluice {

// One kthread's timer. Stays where it is while armed.
struct WheelEntry {
  AppId app = kNoApp;
  KthreadId kthread = kNoKthread;
  bool armed = false;
  uint8_t level = 0;
  uint8_t slot = 0;
  Ticks due = abi::kNoTimer;
  WheelEntry* next = nullptr;
  WheelEntry** link = nullptr;  // what points here
};

class TimerWheel {
 public:
  // abi::kNoTimer disarms.
  void Arm(WheelEntry& entry, Ticks due) {
    Disarm(entry);
    if (due == abi::kNoTimer) return;
    entry.due = due;
    Insert(entry);
    earliest_ = std::min(earliest_, std::max(due, elapsed_));
  }

  void Disarm(WheelEntry& entry) {
    if (!entry.armed) return;
    entry.armed = false;
    *entry.link = entry.next;
    if (entry.next != nullptr) entry.next->link = entry.link;
    if (slots_[entry.level][entry.slot] == nullptr) used_[entry.level] &= ~(uint64_t{1} << entry.slot);
  }

  // Nothing is due before this.
  [[nodiscard]] Ticks earliest() const { return earliest_; }

  // Disarms every entry that is due and then calls fire(entry), which may arm and disarm, but nothing for `now`
  // or before.
  template <class Fire>
  void Expire(Ticks now, Fire&& fire) {
    while (earliest_ <= now) {
      uint8_t level = 0, slot = 0;
      const Ticks at = First(&level, &slot);
      if (at > now) {
        earliest_ = at;
        break;
      }
      elapsed_ = std::max(elapsed_, at);
      WheelEntry* due = slots_[level][slot];
      slots_[level][slot] = nullptr;
      used_[level] &= ~(uint64_t{1} << slot);
      if (due != nullptr) due->link = &due;
      while (due != nullptr) {
        WheelEntry& entry = *due;
        const Ticks when = entry.due;
        Disarm(entry);
        if (when <= now) {
          fire(entry);
        } else {
          entry.due = when;
          Insert(entry);
        }
      }
    }
  }

 private:
  static constexpr int kBits = 6;
  static constexpr int kSlots = 1 << kBits;
  static constexpr int kLevels = (64 + kBits - 1) / kBits;

  void Insert(WheelEntry& entry) {
    const Ticks due = std::max(entry.due, elapsed_);
    const int level = (63 - std::countl_zero((due ^ elapsed_) | 1)) / kBits;
    entry.level = static_cast<uint8_t>(level);
    entry.slot = static_cast<uint8_t>((due >> (level * kBits)) % kSlots);
    WheelEntry*& head = slots_[entry.level][entry.slot];
    entry.next = head;
    entry.link = &head;
    if (head != nullptr) head->link = &entry.next;
    head = &entry;
    entry.armed = true;
    used_[entry.level] |= uint64_t{1} << entry.slot;
  }

  // The first used slot, and when it begins; kNoTimer: none is used.
  Ticks First(uint8_t* level, uint8_t* slot) const {
    for (int l = 0; l < kLevels; l++) {
      if (used_[l] == 0) continue;
      *level = static_cast<uint8_t>(l);
      *slot = static_cast<uint8_t>(std::countr_zero(used_[l]));
      // The digits of elapsed_ above this level, then the slot, then zeros.
      const int above = (l + 1) * kBits;
      const Ticks high = above >= 64 ? 0 : elapsed_ >> above << above;
      return std::max(elapsed_, high | Ticks{*slot} << (l * kBits));
    }
    return abi::kNoTimer;
  }

  Ticks elapsed_ = 0;  // begin of the last slot that was emptied; not `now`, which may be inside a slot that is not
  Ticks earliest_ = abi::kNoTimer;  // or earlier than that
  std::array<uint64_t, kLevels> used_{};
  std::array<std::array<WheelEntry*, kSlots>, kLevels> slots_{};
};

}  // namespace sluice
