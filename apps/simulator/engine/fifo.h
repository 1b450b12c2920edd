// fifo.h - a first-in first-out queue in one array that doubles when it is full.
#pragma once

#include <cstddef>
#include <vector>

namespace sluice::sim {

template <class T>
class Fifo {
 public:
  [[nodiscard]] bool empty() const { return head_ == tail_; }
  [[nodiscard]] size_t size() const { return tail_ - head_; }
  [[nodiscard]] const T& front() const { return slots_[head_ & mask_]; }

  void Push(const T& value) {
    if (size() == slots_.size()) Grow();
    slots_[tail_++ & mask_] = value;
  }
  // Precondition: not empty.
  T Pop() { return slots_[head_++ & mask_]; }

 private:
  void Grow() {
    std::vector<T> larger(slots_.empty() ? 16 : 2 * slots_.size());
    const size_t count = size();
    for (size_t i = 0; i < count; ++i) larger[i] = slots_[(head_ + i) & mask_];
    slots_ = std::move(larger);
    mask_ = slots_.size() - 1;
    head_ = 0;
    tail_ = count;
  }

  std::vector<T> slots_;
  size_t mask_ = 0;
  size_t head_ = 0;
  size_t tail_ = 0;
};

}  // namespace sluice::sim
