// slice_wait - how long a short uthread waits for its turn beside one that computes 500 us at a time, on one kthread.
//
// An app of its own: slices come from a running iokerneld. With one core slot, and slice_us for the app or not:
//   iokerneld --port null --address 10.9.0.1/24 --cpu 0 --cores 1 --config c.toml --run-dir DIR
//   slice_wait --sluice-run-dir DIR --sluice-name slice_wait
// The long one reads the time stamp counter and not the clock: the kernel's vdso is not the executable's own text, and
// a loop that does nothing but ask it for the time is hardly ever interrupted (docs/decisions/0005).
#include <sluice/sluice.h>
#include <x86intrin.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kShort = 10'000;
constexpr auto kPause = std::chrono::microseconds(200);

double Us(Clock::duration duration) { return std::chrono::duration<double, std::micro>(duration).count(); }

uint64_t TicksOf500Us() {
  constexpr auto kLook = std::chrono::milliseconds(20);
  const uint64_t ticks = __rdtsc();
  for (const auto end = Clock::now() + kLook; Clock::now() < end;) {
  }
  return (__rdtsc() - ticks) / 40;
}

int Measure() {
  std::atomic<bool> stop = false;
  sluice::Thread busy([&stop, ticks = TicksOf500Us()] {
    while (!stop.load(std::memory_order_relaxed)) {
      for (const uint64_t end = __rdtsc() + ticks; __rdtsc() < end;) {
      }
      sluice::Yield();
    }
  });
  std::vector<double> late;
  late.reserve(kShort);
  for (int i = 0; i < kShort; ++i) {
    const auto due = Clock::now() + kPause;
    sluice::Sleep(kPause);
    late.push_back(Us(Clock::now() - due));
  }
  stop = true;
  busy.Join();
  std::sort(late.begin(), late.end());
  std::printf("after it was due, us: p50 %.1f, p90 %.1f, p99 %.1f, most %.1f\n", late[kShort / 2],
              late[kShort / 10 * 9], late[kShort / 100 * 99], late.back());
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return sluice::Run(sluice::RunConfig::FromArgs(argc, argv), Measure); }
