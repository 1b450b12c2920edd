// migration_test.cc - what belongs to a uthread comes along when it continues on another pthread.
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <cfenv>
#include <exception>
#include <stdexcept>

#include "runtime/sched/switch.h"
#include "tests/lib/test_runtime.h"

namespace sluice {
namespace {

using test::KthreadIndex;
using test::Runtime;

// The compiler may keep errno's address within a function; a uthread that moves has to ask anew.
[[gnu::noinline]] int GetErrno() { return errno; }
[[gnu::noinline]] void SetErrno(int value) { errno = value; }

class Migration : public testing::Test {
 protected:
  // Returns on the other kthread.
  void Move() {
    const uint32_t from = KthreadIndex();
    runtime_.iokernel().GrantOnly(1 - from);
    while (KthreadIndex() == from) Yield();
    EXPECT_EQ(KthreadIndex(), 1 - from);
  }

  Runtime runtime_{{.kthreads = 2}};
};

TEST_F(Migration, Errno) {
  runtime_.Run([&] {
    SetErrno(EXDEV);
    Thread other([] {
      EXPECT_EQ(GetErrno(), 0);
      SetErrno(ENOTTY);
      Yield();
      EXPECT_EQ(GetErrno(), ENOTTY);
    });
    for (int i = 0; i < 4; ++i) {
      Move();
      EXPECT_EQ(GetErrno(), EXDEV);
    }
  });
}

TEST_F(Migration, InsideACatchBlock) {
  runtime_.Run([&] {
    // Another uthread has its own caught exceptions meanwhile.
    std::atomic<bool> stop{false};
    Thread other([&] {
      while (!stop) {
        try {
          throw std::logic_error("other");
        } catch (const std::logic_error& error) {
          Yield();
          EXPECT_STREQ(error.what(), "other");
          EXPECT_EQ(std::uncaught_exceptions(), 0);
        }
      }
    });
    try {
      try {
        throw std::runtime_error("mine");
      } catch (const std::runtime_error&) {
        Move();
        EXPECT_NE(std::current_exception(), nullptr);
        try {
          throw std::out_of_range("inner");
        } catch (...) {
          Move();
        }
        Move();
        throw;
      }
    } catch (const std::exception& error) {
      EXPECT_STREQ(error.what(), "mine");
    }
    EXPECT_EQ(std::current_exception(), nullptr);
    stop = true;
  });
}

// A destructor that gives way while an exception is on its way.
TEST_F(Migration, WhileUnwinding) {
  runtime_.Run([&] {
    const auto move = [this] { Move(); };
    struct Mover {
      const decltype(move)& go;
      ~Mover() {
        EXPECT_EQ(std::uncaught_exceptions(), 1);
        go();
        EXPECT_EQ(std::uncaught_exceptions(), 1);
      }
    };
    try {
      const Mover mover{move};
      throw 42;
    } catch (int value) {
      EXPECT_EQ(value, 42);
    }
    EXPECT_EQ(std::uncaught_exceptions(), 0);
  });
}

TEST_F(Migration, FloatingPointControl) {
  runtime_.Run([&] {
    const auto sse_word = [] { return __builtin_ia32_stmxcsr() & 0xffc0; };
    const auto x87_word = [] {
      uint16_t word;
      asm volatile("fnstcw %0" : "=m"(word));
      return word;
    };
    Thread other([&] {
      for (int i = 0; i < 100; ++i, Yield()) {
        EXPECT_EQ(sse_word(), 0x1f80u);
        EXPECT_EQ(x87_word(), 0x37f);
      }
    });
    std::fesetround(FE_UPWARD);  // sets both
    const auto sse_mine = sse_word();
    const uint16_t x87_mine = x87_word();
    EXPECT_NE(sse_mine, 0x1f80u);
    for (int i = 0; i < 4; ++i) {
      Move();
      EXPECT_EQ(sse_word(), sse_mine);
      EXPECT_EQ(x87_word(), x87_mine);
    }
    other.Join();
    EXPECT_EQ(sse_word(), sse_mine);
    std::fesetround(FE_TONEAREST);
  });
}

}  // namespace
}  // namespace sluice
