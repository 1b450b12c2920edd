// slice_test.cc - time slices: a long uthread lets the others go first, and notices nothing.
#include "runtime/sched/slice.h"

#include <gtest/gtest.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "sluice/preempt.h"
#include "sluice/sync.h"
#include "sluice/time.h"
#include "tests/lib/sanitized.h"
#include "tests/lib/test_runtime.h"

namespace sluice {
namespace {

using namespace std::chrono_literals;
using test::Count;
using test::Runtime;

constexpr auto kSlices = &abi::RuntimeCounters::slices;

// Long uthreads here compute in the test's own text: no call into a library, none into the runtime.
template <class Done>
[[gnu::noinline]] void ComputeUntil(Done done) {
  while (!done()) _mm_pause();
}

// Where it runs now. Without a call that gives way.
uint32_t Here() { return arch::CurrentKthread()->index(); }

class Slices : public testing::Test {
 protected:
  [[nodiscard]] uint64_t slices() { return runtime_.iokernel().Sum(kSlices); }

  Runtime runtime_{{.kthreads = 1, .end_turns = true}};
};

TEST(Slice, OnlyTheExecutableIsOwnText) {
  EXPECT_EQ(sched::WhyNeverSliced(), nullptr);
  const auto is_own = [](auto* function) { return sched::InOwnText(reinterpret_cast<uintptr_t>(function)); };
  EXPECT_TRUE(is_own(&Here));
  EXPECT_TRUE(is_own(&sched::Start));
  EXPECT_FALSE(is_own(&std::malloc));
  EXPECT_FALSE(is_own(&std::terminate));
}

TEST_F(Slices, ShortUthreadsRunWhileALongOneComputes) {
  runtime_.Run([&] {
    std::atomic<int> done{0};
    for (int i = 0; i < 10; ++i) Spawn([&] { ++done; });
    ComputeUntil([&] { return done == 10; });
  });
  EXPECT_GT(slices(), 0u);
}

TEST(Slice, OffByDefault) {
  Runtime runtime({.kthreads = 1});
  runtime.Run([&] {
    std::atomic<int> done{0};
    for (int i = 0; i < 10; ++i) Spawn([&] { ++done; });
    const uint64_t passes = runtime.iokernel().passes();
    ComputeUntil([&] { return runtime.iokernel().passes() > passes + 200; });
    EXPECT_EQ(done, 0);
  });
  EXPECT_EQ(runtime.iokernel().Sum(kSlices), 0u);
}

TEST_F(Slices, WhatPlainThreadsWakeRunsToo) {
  std::atomic<bool> computing{false};
  std::atomic<bool> woken{false};
  std::thread outside([&] {
    computing.wait(false);
    EXPECT_TRUE(TrySpawn([&] { woken = true; }));
  });
  runtime_.Run([&] {
    computing = true;
    computing.notify_one();
    ComputeUntil([&] { return woken.load(); });
  });
  outside.join();
}

TEST_F(Slices, TimersFireWhileALongUthreadComputes) {
  runtime_.Run([&] {
    std::atomic<bool> woken{false};
    Spawn([&] {
      Sleep(100us);
      woken = true;
    });
    Yield();
    ComputeUntil([&] { return woken.load(); });
  });
}

TEST(Slice, PacketsAreTakenWhileALongUthreadComputes) {
  static std::atomic<int> served;
  served = 0;
  Runtime runtime({.kthreads = 1, .end_turns = true},
                  [](sched::Kthread&, uint32_t, std::span<const abi::LrpcMessage> messages) {
                    for (const abi::LrpcMessage& message : messages) {
                      sched::ReturnBuffer(abi::DecodeRx(message).buffer);
                      Spawn([] { ++served; });
                    }
                  });
  std::atomic<bool> computing{false};
  std::thread outside([&] {
    computing.wait(false);
    const std::array<std::byte, 20> packet{};
    for (int i = 0; i < 5; ++i) EXPECT_TRUE(runtime.iokernel().Inject(0, packet, 0));
  });
  runtime.Run([&] {
    computing = true;
    computing.notify_one();
    ComputeUntil([&] { return served == 5; });
  });
  outside.join();
}

// Each waits for the other's progress, and beside them one is always ready.
TEST_F(Slices, LongUthreadsTakeTurns) {
  runtime_.Run([&] {
    std::atomic<bool> stop{false};
    Thread busy([&] {
      while (!stop) Yield();
    });
    std::array<std::atomic<uint32_t>, 2> progress{};
    const auto compute = [&](size_t self) {
      for (uint32_t i = 0; i < Count(50, 20); ++i) {
        ++progress[self];
        ComputeUntil([&] { return progress[1 - self] >= i; });
      }
    };
    Thread other([&] { compute(1); });
    compute(0);
    other.Join();
    stop = true;
  });
}

TEST_F(Slices, NobodyElseToRunIsNoSlice) {
  runtime_.Run([&] {
    // What had waited before has been seen.
    Yield();
    const uint64_t before = slices();
    const uint64_t passes = runtime_.iokernel().passes();
    ComputeUntil([&] { return runtime_.iokernel().passes() > passes + 1000; });
    EXPECT_LE(slices(), before + 1);  // one for the kick that brought this uthread
  });
}

// A slice wherever a uthread wants one: it sends the signal to its own kthread, by an instruction of its own text.
class SliceHere : public testing::Test {
 protected:
  [[nodiscard]] uint64_t slices() { return runtime_.iokernel().Sum(kSlices); }
  // Before the signal: the turn is over.
  void SayTurnIsOver() {
    abi::KthreadBlock& block = *runtime_.iokernel().view().layout.Kthread(runtime_.iokernel().view().base, 0);
    block.grant.turn_over = block.signal.rq_head.load();
  }
  void EndMyTurn() {
    SayTurnIsOver();
    int64_t result = SYS_tgkill;
    asm volatile("syscall" : "+a"(result) : "D"(pid_), "S"(tid_), "d"(abi::kCedeSignal) : "rcx", "r11", "memory");
  }

  Runtime runtime_{{.kthreads = 1}};
  const int64_t pid_ = getpid();
  const int64_t tid_ = sched::ThreadIds()[0];
};

// All vector registers, the x87 stack and both control words, as a computation in progress has them.
struct VectorState {
  alignas(32) std::array<std::array<uint64_t, 4>, 16> ymm;
  double x87 = 0;
};

// Loads them, sends the signal, stores them.
[[gnu::noinline]] void Hold(const VectorState& in, VectorState* out, int64_t pid, int64_t tid) {
  int64_t result = SYS_tgkill;
  asm volatile(
      "vmovdqa 0(%[in]), %%ymm0; vmovdqa 32(%[in]), %%ymm1; vmovdqa 64(%[in]), %%ymm2; vmovdqa 96(%[in]), %%ymm3\n\t"
      "vmovdqa 128(%[in]), %%ymm4; vmovdqa 160(%[in]), %%ymm5; vmovdqa 192(%[in]), %%ymm6\n\t"
      "vmovdqa 224(%[in]), %%ymm7; vmovdqa 256(%[in]), %%ymm8; vmovdqa 288(%[in]), %%ymm9\n\t"
      "vmovdqa 320(%[in]), %%ymm10; vmovdqa 352(%[in]), %%ymm11; vmovdqa 384(%[in]), %%ymm12\n\t"
      "vmovdqa 416(%[in]), %%ymm13; vmovdqa 448(%[in]), %%ymm14; vmovdqa 480(%[in]), %%ymm15\n\t"
      "fldl 512(%[in])\n\t"
      "syscall\n\t"
      "fstpl 512(%[out])\n\t"
      "vmovdqa %%ymm0, 0(%[out]); vmovdqa %%ymm1, 32(%[out]); vmovdqa %%ymm2, 64(%[out])\n\t"
      "vmovdqa %%ymm3, 96(%[out]); vmovdqa %%ymm4, 128(%[out]); vmovdqa %%ymm5, 160(%[out])\n\t"
      "vmovdqa %%ymm6, 192(%[out]); vmovdqa %%ymm7, 224(%[out]); vmovdqa %%ymm8, 256(%[out])\n\t"
      "vmovdqa %%ymm9, 288(%[out]); vmovdqa %%ymm10, 320(%[out]); vmovdqa %%ymm11, 352(%[out])\n\t"
      "vmovdqa %%ymm12, 384(%[out]); vmovdqa %%ymm13, 416(%[out]); vmovdqa %%ymm14, 448(%[out])\n\t"
      "vmovdqa %%ymm15, 480(%[out])\n\t"
      : "+a"(result)
      : [in] "r"(&in), [out] "r"(out), "D"(pid), "S"(tid), "d"(abi::kCedeSignal)
      : "rcx", "r11", "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
        "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "st");
}
static_assert(offsetof(VectorState, x87) == 512);

TEST_F(SliceHere, VectorAndFloatingStateIsKept) {
  const uint64_t wanted = Count(10'000, 1'000);
  const auto compute = [&](uint64_t self) {
    // Another rounding for each of them.
    _mm_setcsr((_mm_getcsr() & ~0x6000u) | static_cast<uint32_t>(self) << 13);
    const auto x87_control = static_cast<uint16_t>(0x37f | self << 10);
    asm volatile("fldcw %0" : : "m"(x87_control));
    VectorState in;
    for (size_t r = 0; r < 16; ++r) in.ymm[r] = {self, r, self * 1000 + r, ~r};
    in.x87 = static_cast<double>(self) + 0.25;
    while (slices() < wanted) {
      VectorState out{};
      SayTurnIsOver();
      Hold(in, &out, pid_, tid_);
      ASSERT_EQ(std::memcmp(&in, &out, offsetof(VectorState, x87) + sizeof(double)), 0);
      ASSERT_EQ(_mm_getcsr() >> 13 & 3, self);
      uint16_t control;
      asm volatile("fnstcw %0" : "=m"(control));
      ASSERT_EQ(control, x87_control);
    }
    _mm_setcsr(_mm_getcsr() & ~0x6000u);
    const uint16_t normal = 0x37f;
    asm volatile("fldcw %0" : : "m"(normal));
  };
  runtime_.Run([&] {
    std::vector<Thread> others;
    for (uint64_t self = 1; self < 4; ++self) others.emplace_back([&, self] { compute(self); });
    compute(0);
  });
}

TEST_F(SliceHere, ErrnoAndCaughtExceptionsAreKept) {
  const uint64_t wanted = Count(2'000, 200);
  const auto compute = [&](int self) {
    while (slices() < wanted) {
      errno = self;
      try {
        throw self;
      } catch (int caught) {
        EndMyTurn();
        EXPECT_EQ(caught, self);
        EXPECT_EQ(errno, self);
        EXPECT_THROW(throw, int);
      }
    }
  };
  runtime_.Run([&] {
    Thread one([&] { compute(1); });
    Thread two([&] { compute(2); });
    compute(3);
  });
}

TEST_F(Slices, NotInsideNoPreempt) {
  runtime_.Run([&] {
    std::atomic<bool> other_ran{false};
    Spawn([&] { other_ran = true; });
    {
      const NoPreempt guard;
      // The handler has been here, and has left only its note.
      ComputeUntil([] { return (arch::PreemptWord() & arch::kNoCedePending) == 0; });
      EXPECT_FALSE(other_ran);
    }
    EXPECT_TRUE(other_ran);
  });
}

TEST_F(Slices, AStandardMutexUnderNoPreemptIsSafe) {
  runtime_.Run([&] {
    std::mutex mutex;
    uint64_t total = 0;
    std::vector<Thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (uint32_t i = 0; i < Count(20'000, 2'000); ++i) {
          const NoPreempt guard;
          const std::lock_guard lock(mutex);
          ++total;
        }
      });
    }
    threads.clear();
    EXPECT_EQ(total, 4u * Count(20'000, 2'000));
  });
}

// The library's own guard would put the second uthread to sleep, and the kthread with it.
TEST_F(Slices, StaticVariablesAreInitializedInOneTurn) {
  static std::atomic<int> arrived;
  static std::function<int()> initialize;
  arrived = 0;
  initialize = [&] {
    const uint64_t passes = runtime_.iokernel().passes();
    ComputeUntil([&] { return runtime_.iokernel().passes() > passes + 100; });
    EXPECT_EQ(arrived, 0);
    return 7;
  };
  const auto use = [] {
    static const int value = initialize();
    return value;
  };
  runtime_.Run([&] {
    Thread other([&] {
      ++arrived;
      EXPECT_EQ(use(), 7);
    });
    EXPECT_EQ(use(), 7);
  });
}

TEST(Slice, WhoWasSetAsideIsNotStolen) {
  Runtime runtime({.kthreads = 2, .keep_all_granted = true, .end_turns = true});
  runtime.Run([&] {
    std::atomic<bool> stop{false};
    std::vector<Thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        while (!stop) Yield();
      });
    }
    // More of them than kthreads, so that some wait, and thieves to take what can be taken.
    for (int i = 0; i < 6; ++i) {
      threads.emplace_back([&] {
        const uint32_t home = Here();
        bool moved = false;
        ComputeUntil([&] { return (moved |= Here() != home) || runtime.iokernel().Sum(kSlices) > Count(50, 20); });
        EXPECT_FALSE(moved);
        stop = true;
      });
    }
  });
}

// The core is asked back again and again, at safe points and by signal, while one is set aside or runs.
TEST(Slice, WhoWasSetAsideGoesOnAfterACede) {
  Runtime runtime({.kthreads = 1, .cede_randomly = true, .cede_by_signal = true, .end_turns = true});
  const auto& counters = runtime.iokernel().counters(0);
  runtime.Run([&] {
    std::atomic<bool> stop{false};
    Thread busy([&] {
      while (!stop) Yield();
    });
    const uint64_t slices = counters.slices;
    const uint64_t parks = counters.parks;
    ComputeUntil([&] { return counters.slices > slices + Count(20, 10) && counters.parks > parks + Count(20, 10); });
    stop = true;
  });
}

// Interrupted anywhere, also inside malloc, by slices and by cedes: nothing is lost, and nobody waits for ever.
class SliceStorm : public testing::TestWithParam<uint64_t> {};

TEST_P(SliceStorm, NothingIsDisturbed) {
  Runtime runtime({.kthreads = 3,
                   .keep_all_granted = true,
                   .cede_randomly = true,
                   .cede_by_signal = true,
                   .end_turns = true,
                   .seed = GetParam()});
  runtime.Run([&] {
    Mutex mutex;
    uint64_t total = 0;
    std::atomic<uint64_t> rounds{0};
    std::vector<Thread> threads;
    for (uint64_t t = 0; t < 8; ++t) {
      threads.emplace_back([&, t] {
        std::mt19937_64 random(GetParam() * 100 + t);
        uint32_t i = 0;
        for (; i < Count(10'000, 1'000) || runtime.iokernel().Sum(kSlices) < 20; ++i) {
          const size_t size = random() % 600 + 1;
          auto* memory = static_cast<unsigned char*>(malloc(size));
          const auto fill = static_cast<unsigned char>(random());
          std::memset(memory, fill, size);
          double sum = 0;
          for (int k = 1; k < 50; ++k) sum += 1.0 / k;
          EXPECT_NEAR(sum, 4.479205338, 1e-9);
          EXPECT_TRUE(std::all_of(memory, memory + size, [fill](unsigned char c) { return c == fill; }));
          memory = static_cast<unsigned char*>(realloc(memory, size * 2));
          EXPECT_EQ(memory[size - 1], fill);
          free(memory);
          if (random() % 256 == 0) Yield();
          const std::lock_guard lock(mutex);
          ++total;
        }
        rounds += i;
      });
    }
    threads.clear();
    EXPECT_EQ(total, rounds);
  });
}
INSTANTIATE_TEST_SUITE_P(Seeds, SliceStorm, testing::Range<uint64_t>(1, 3));

}  // namespace
}  // namespace sluice
