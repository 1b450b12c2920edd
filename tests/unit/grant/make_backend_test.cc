#include "iokernel/grant/make_backend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice {
namespace {

using testing::HasSubstr;

const FutexOptions kOptions{.core_cpus = {0}, .loop_cpu = 0, .thread_pidfds = true};

const FutexOptions kTwoSlotsOnACpu{.core_cpus = {0, 0}, .loop_cpu = 0, .thread_pidfds = true};

// One kthread on a core at a time is what the module is for.
TEST(MakeBackend, AutoTakesFutexForSlotsThatShareACpuAndSaysWhy) {
  const auto chosen = MakeBackend("auto", kTwoSlotsOnACpu);
  ASSERT_TRUE(chosen.has_value());
  EXPECT_EQ(chosen->backend->name(), "futex");
  EXPECT_THAT(chosen->note, HasSubstr("ksched"));
}

TEST(MakeBackend, FutexIsTakenWithoutAWord) {
  const auto chosen = MakeBackend("futex", kOptions);
  ASSERT_TRUE(chosen.has_value());
  EXPECT_EQ(chosen->backend->name(), "futex");
  EXPECT_EQ(chosen->note, "");
}

TEST(MakeBackend, WhatIsNotThereIsRefusedInASentence) {
  EXPECT_THAT(MakeBackend("ksched", kTwoSlotsOnACpu).error(), HasSubstr("a CPU for each core slot"));
  EXPECT_EQ(MakeBackend("futx", kOptions).error(), "unknown grant backend \"futx\"; known: auto, futex, ksched");
}

}  // namespace
}  // namespace sluice
