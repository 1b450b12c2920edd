// rate_limit.h - a token bucket in one word: `burst` at once, then one per `interval`. Any number of threads.
#pragma once

#include <atomic>

#include "iokernel/abi/clock.h"

namespace sluice::net {

class RateLimit {
 public:
  RateLimit() = default;
  RateLimit(abi::Ticks interval, uint32_t burst) : interval_(interval), depth_(interval * burst) {}

  RateLimit(const RateLimit&) = delete;
  RateLimit& operator=(const RateLimit& other) {
    interval_ = other.interval_;
    depth_ = other.depth_;
    full_at_.store(other.full_at_.load(std::memory_order_relaxed), std::memory_order_relaxed);
    return *this;
  }

  // Takes a token at time `now`. False: there is none.
  [[nodiscard]] bool Take(abi::Ticks now) {
    abi::Ticks full_at = full_at_.load(std::memory_order_relaxed);
    abi::Ticks next;
    do {
      next = (full_at > now ? full_at : now) + interval_;
      if (next - now > depth_) return false;
    } while (!full_at_.compare_exchange_weak(full_at, next, std::memory_order_relaxed));
    return true;
  }

 private:
  abi::Ticks interval_ = 1;
  abi::Ticks depth_ = 0;
  std::atomic<abi::Ticks> full_at_{0};  // when the bucket will be full again
};

}  // namespace sluice::net
