// idle_list.h - the parked kthreads of one app in the order in which they parked, and the core each ran on last.
//
// A doubly linked list over arrays: insert and remove are O(1), no memory after construction. At first every
// kthread is in it, as if they had parked from the last to the first: kthread 0 is the least recently used.
#pragma once

#include <cstdint>
#include <vector>

#include "policies/views.h"

namespace sluice {

class IdleList {
 public:
  explicit IdleList(uint16_t kthreads) : end_(kthreads), links_(kthreads + size_t{1}), core_(kthreads, kNoCore) {
    links_[end_] = {end_, end_, true};
    for (KthreadId k = 0; k < kthreads; k++) PushFront(k);
  }

  // k got `core`. Calling it for a kthread that runs already only moves it.
  void OnRun(KthreadId k, CoreId core) {
    core_[k] = core;
    if (!links_[k].idle) return;
    links_[links_[k].previous].next = links_[k].next;
    links_[links_[k].next].previous = links_[k].previous;
    links_[k].idle = false;
  }

  // k gave `core` back. A kthread that is parked already keeps its place.
  void OnPark(KthreadId k, CoreId core) {
    core_[k] = core;
    if (!links_[k].idle) PushFront(k);
  }

  [[nodiscard]] bool IsIdle(KthreadId k) const { return links_[k].idle; }
  [[nodiscard]] CoreId LastCore(KthreadId k) const { return core_[k]; }
  [[nodiscard]] KthreadId MostRecent() const { return Name(links_[end_].next); }
  [[nodiscard]] KthreadId LeastRecent() const { return Name(links_[end_].previous); }
  // The one that parked before k; k is idle.
  [[nodiscard]] KthreadId Older(KthreadId k) const { return Name(links_[k].next); }

 private:
  struct Link {
    KthreadId next = 0;
    KthreadId previous = 0;
    bool idle = false;
  };

  void PushFront(KthreadId k) {
    const KthreadId first = links_[end_].next;
    links_[k] = {first, end_, true};
    links_[first].previous = k;
    links_[end_].next = k;
  }

  [[nodiscard]] KthreadId Name(KthreadId k) const { return k == end_ ? kNoKthread : k; }

  KthreadId end_;             // the list's two ends: links_[end_].next is the most recently parked
  std::vector<Link> links_;   // by KthreadId, and the ends
  std::vector<CoreId> core_;  // by KthreadId: the core it has, or had last
};

}  // namespace sluice
