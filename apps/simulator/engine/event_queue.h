// event_queue.h - what happens when: a heap of (time, what) with four children per node.
//
// Push and Pop take O(log n). Events are not removed before their time: whoever changes his mind raises a number of
// his own and ignores the event that carries an older one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "apps/simulator/engine/time.h"

namespace sluice::sim {

struct Event {
  Time time = kNever;
  uint32_t who = 0;
  uint32_t number = 0;
};

class EventQueue {
 public:
  [[nodiscard]] bool empty() const { return heap_.empty(); }
  [[nodiscard]] size_t size() const { return heap_.size(); }
  [[nodiscard]] const Event& Top() const { return heap_.front(); }
  // kNever if there is none.
  [[nodiscard]] Time NextTime() const { return heap_.empty() ? kNever : heap_.front().time; }

  void Push(const Event& event) {
    heap_.push_back(event);
    Rise(heap_.size() - 1, event);
  }
  void Pop() {
    const Event last = heap_.back();
    heap_.pop_back();
    if (!heap_.empty()) Sink(last);
  }
  // Pop and Push in one.
  void ReplaceTop(const Event& event) { Sink(event); }

 private:
  static constexpr size_t kChildren = 4;

  void Rise(size_t at, const Event& event) {
    while (at > 0) {
      const size_t parent = (at - 1) / kChildren;
      if (heap_[parent].time <= event.time) break;
      heap_[at] = heap_[parent];
      at = parent;
    }
    heap_[at] = event;
  }
  // Puts `event` where the top was, and down to its place.
  void Sink(const Event& event) {
    const size_t size = heap_.size();
    size_t at = 0;
    for (;;) {
      const size_t first = at * kChildren + 1;
      if (first >= size) break;
      const size_t end = first + kChildren < size ? first + kChildren : size;
      size_t least = first;
      for (size_t child = first + 1; child < end; ++child) {
        if (heap_[child].time < heap_[least].time) least = child;
      }
      if (heap_[least].time >= event.time) break;
      heap_[at] = heap_[least];
      at = least;
    }
    heap_[at] = event;
  }

  std::vector<Event> heap_;
};

}  // namespace sluice::sim
