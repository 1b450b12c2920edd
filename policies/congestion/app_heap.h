// app_heap.h - apps in the order of a time, the earliest on top. Look: O(1); change: O(log apps), no memory.
#pragma once

#include <array>
#include <cstdint>
#include <utility>

#include "policies/views.h"

namespace sluice {

class AppHeap {
 public:
  AppHeap() { place_.fill(kAbsent); }

  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] size_t size() const { return size_; }
  [[nodiscard]] AppId top() const { return apps_[0].id; }
  [[nodiscard]] Ticks top_time() const { return apps_[0].time; }

  // The app's time is `time` now, whether or not it was there.
  void Set(AppId app, Ticks time) {
    uint16_t at = place_[app];
    if (at == kAbsent) at = size_++;
    Put(at, {time, app});
    Settle(at);
  }
  // Nothing happens if it is not there.
  void Remove(AppId app) {
    const uint16_t at = place_[app];
    if (at == kAbsent) return;
    place_[app] = kAbsent;
    if (at == --size_) return;
    Put(at, apps_[size_]);
    Settle(at);
  }

 private:
  static constexpr uint16_t kAbsent = 0xffff;
  struct Entry {
    Ticks time = 0;
    AppId id = kNoApp;
  };

  void Put(uint16_t at, Entry entry) {
    apps_[at] = entry;
    place_[entry.id] = at;
  }
  void Swap(uint16_t a, uint16_t b) {
    const Entry moved = apps_[a];
    Put(a, apps_[b]);
    Put(b, moved);
  }
  // The entry at `at` is the only one that may be out of order.
  void Settle(uint16_t at) {
    for (; at > 0 && apps_[at].time < apps_[(at - 1) / 2].time; at = (at - 1) / 2) Swap(at, (at - 1) / 2);
    for (;;) {
      uint16_t least = at;
      for (uint32_t child = 2u * at + 1; child <= 2u * at + 2 && child < size_; child++) {
        if (apps_[child].time < apps_[least].time) least = static_cast<uint16_t>(child);
      }
      if (least == at) return;
      Swap(at, least);
      at = least;
    }
  }

  uint16_t size_ = 0;
  std::array<Entry, kMaxApps> apps_;      // a binary heap
  std::array<uint16_t, kMaxApps> place_;  // by AppId
};

}  // namespace sluice
