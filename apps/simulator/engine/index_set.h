// index_set.h - a set of small numbers: finds a member at or after a place within a few words.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace sluice::sim {

class IndexSet {
 public:
  explicit IndexSet(uint16_t count) : words_((count + 63u) / 64) {}

  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] uint32_t size() const { return size_; }
  [[nodiscard]] bool Has(uint16_t index) const { return (words_[index / 64] >> (index % 64)) & 1; }
  void Set(uint16_t index, bool member) {
    if (Has(index) == member) return;
    words_[index / 64] ^= uint64_t{1} << (index % 64);
    member ? size_++ : size_--;
  }
  // The first member at or after `from`, going round. Precondition: not empty, `from` within the count.
  [[nodiscard]] uint16_t From(uint16_t from) const {
    size_t at = from / 64;
    uint64_t word = words_[at] & (~uint64_t{0} << (from % 64));
    while (word == 0) {
      at = at + 1 == words_.size() ? 0 : at + 1;
      word = words_[at];
    }
    return static_cast<uint16_t>(at * 64 + static_cast<size_t>(std::countr_zero(word)));
  }

 private:
  std::vector<uint64_t> words_;
  uint32_t size_ = 0;
};

}  // namespace sluice::sim
