// counters.h - what the allocator counts. Written by the thread that calls the allocator, read by any.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

namespace sluice {

// A number with one writer: plain loads and stores, atomic only so that others may read it.
class BrainCounter {
 public:
  void Add(uint64_t n = 1) { Set(value_.load(std::memory_order_relaxed) + n); }
  void Set(uint64_t n) { value_.store(n, std::memory_order_relaxed); }
  void Raise(uint64_t n) {
    if (n > value_.load(std::memory_order_relaxed)) Set(n);
  }
  operator uint64_t() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

// Of the machine. The four `_ticks` say what the escalation has really taken, park seen or not.
struct AllocatorCounters {
  BrainCounter passes;
  BrainCounter grants;
  BrainCounter starts;  // grants that were seen to be acknowledged, or to have been when the kthread parked
  BrainCounter parks;
  BrainCounter cedes;
  BrainCounter ceded;            // cedes that were answered by a park
  BrainCounter signals;          // cede signals asked of the backend
  BrainCounter evictions;        // kthreads pushed off their core
  BrainCounter slices;           // turns of uthreads that were asked to end
  BrainCounter slices_deferred;  // turns that went on beyond their slice, by slice_spacing
  BrainCounter deferred;         // grants put off to the next pass by grants_per_pass
  BrainCounter lies;             // impossible values in signal lines, ignored
  BrainCounter start_ticks_total;
  BrainCounter start_ticks_max;                   // longest from a grant until it was seen to run, or to have run
  std::array<BrainCounter, 40> start_ticks_log2;  // of the same: entry n counts 2^n <= ticks < 2^(n + 1)
  BrainCounter cede_ticks_total;
  BrainCounter cede_ticks_max;  // longest from a cede to its park
};

// Of one app.
struct AppGrantCounters {
  BrainCounter grants;
  BrainCounter parks;
  BrainCounter cedes;
  BrainCounter evictions;
  BrainCounter lies;
  BrainCounter slices;
  BrainCounter held;  // cores it has now, those it is about to give back not counted
};

}  // namespace sluice
