// slice_test.cc - when the turn of a uthread is asked to end, and when not.
#include <algorithm>
#include <array>

#include "tests/unit/brain/allocator_fixture.h"

namespace sluice {
namespace {

using test::MachineOptions;
using test::PuppetApp;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

constexpr Ticks kInterval = 5000;
constexpr Ticks kSlice = 100'000;

class SliceTest : public test::AllocatorTest {
 protected:
  void SetUp() override {
    app = std::make_unique<PuppetApp>(AppId{0}, 1);
    app->spec.slice = kSlice;
    Make(MachineOptions(1));
    Attach(*app);
    WakeByPacket(*app);
    (*app)[0].Take(1);
    RunOne();
  }
  // Kthread 0 takes a uthread from its queue, and nobody waits behind it.
  void RunOne() {
    (*app)[0].Spawn(1, now);
    (*app)[0].RunUthreads(1);
    Pass();
  }
  void PassFor(Ticks time) {
    for (const Ticks end = now + time; now < end;) Pass();
  }
  uint64_t slices() { return allocator->counters().slices; }

  std::unique_ptr<PuppetApp> app;
};

TEST_F(SliceTest, WhoeverWaitsEndsTheTurnOnceTheSliceIsOver) {
  (*app)[0].Spawn(1, now);
  PassFor(kSlice - kInterval);
  EXPECT_THAT(backend.turns, IsEmpty());
  EXPECT_FALSE((*app)[0].TurnOver());
  Pass();
  EXPECT_THAT(backend.turns, ElementsAre(Pair(0, 0)));
  EXPECT_TRUE((*app)[0].TurnOver());
  EXPECT_EQ(slices(), 1u);
  EXPECT_THAT(backend.interrupts, IsEmpty());
  // The next one has a slice of its own, and what was said of the last one does not hold for it.
  (*app)[0].RunUthreads(1);
  EXPECT_FALSE((*app)[0].TurnOver());
  (*app)[0].Spawn(1, now);
  Pass();
  PassFor(kSlice - kInterval);
  EXPECT_EQ(slices(), 1u);
  Pass();
  EXPECT_EQ(slices(), 2u);
}

TEST_F(SliceTest, NobodyWaitsNothingEnds) {
  PassFor(10 * kSlice);
  EXPECT_EQ(slices(), 0u);
}

TEST_F(SliceTest, WithoutSlicesNothingEnds) {
  app = std::make_unique<PuppetApp>(AppId{0}, 1);
  Make(MachineOptions(1));
  Attach(*app);
  WakeByPacket(*app);
  (*app)[0].Spawn(2, now);
  (*app)[0].RunUthreads(1);
  PassFor(10 * kSlice);
  EXPECT_EQ(slices(), 0u);
}

TEST_F(SliceTest, PacketsTimersWokenAndSetAsideUthreadsCountAsWaiting) {
  PassFor(2 * kSlice);
  const auto ends = [&] {
    const uint64_t before = slices();
    PassFor(2 * kInterval);
    return slices() == before + 1;
  };
  Send(*app, 0);
  EXPECT_TRUE(ends());
  (*app)[0].Take(1);
  RunOne();
  PassFor(2 * kSlice);
  (*app)[0].signal.next_timer.store(now + kInterval);
  EXPECT_TRUE(ends());
  (*app)[0].signal.next_timer.store(abi::kNoTimer);
  RunOne();
  PassFor(2 * kSlice);
  app->Kick();
  EXPECT_TRUE(ends());
  RunOne();
  PassFor(2 * kSlice);
  (*app)[0].signal.set_aside.store(1);
  EXPECT_TRUE(ends());
}

// Between two uthreads a kthread takes what has come by itself.
TEST_F(SliceTest, APacketThatIsTakenInTimeEndsNothing) {
  for (int i = 0; i < 100; ++i) {
    PassFor(2 * kSlice);
    Send(*app, 0);
    Pass();
    (*app)[0].Take(1);
  }
  EXPECT_EQ(slices(), 0u);
}

TEST_F(SliceTest, WhoeverDoesNotHearIsAskedAgainAfterAnotherSlice) {
  (*app)[0].Spawn(1, now);
  PassFor(10 * kSlice);
  EXPECT_EQ(slices(), 10u);
}

TEST_F(SliceTest, AGrantBeginsATurn) {
  PassFor(kSlice / 2);
  (*app)[0].Park(abi::kParkPreempted);
  Pass();
  ASSERT_TRUE((*app)[0].Start());
  (*app)[0].Spawn(1, now);
  PassFor(kSlice);
  EXPECT_EQ(slices(), 0u);
  PassFor(kInterval);
  EXPECT_EQ(slices(), 1u);
}

TEST_F(SliceTest, APassEndsABoundedNumberOfTurns) {
  AllocatorOptions options = MachineOptions(4);
  options.slices_at_once = 3;
  options.slice_spacing = 2 * kInterval;
  app = std::make_unique<PuppetApp>(AppId{0}, 4);
  app->spec.slice = kSlice;
  Make(options);
  Attach(*app);
  Spread(*app, 4);
  // All begin a turn at the same time, and at each somebody waits.
  for (KthreadId k = 0; k < 4; ++k) {
    (*app)[k].Spawn(1, now);
    (*app)[k].RunUthreads(1);
    (*app)[k].signal.set_aside.store(1);
  }
  const auto before = slices();
  while (slices() == before) Pass();
  EXPECT_EQ(slices(), before + 3);
  EXPECT_EQ(allocator->counters().slices_deferred, 1u);
  Pass();
  EXPECT_EQ(slices(), before + 3);
  Pass();
  EXPECT_EQ(slices(), before + 4);
  EXPECT_EQ(allocator->counters().slices_deferred, 1u) << "the same turn";
}

// The loop can afford an end every so often. If n kthreads want more than that, each of them gets the same of it.
TEST_F(SliceTest, EndsOfTurnsAreRationedAndEachHasItsPart) {
  constexpr KthreadId kKthreads = 16;
  AllocatorOptions options = MachineOptions(kKthreads);
  options.slice_spacing = 14'000;
  app = std::make_unique<PuppetApp>(AppId{0}, kKthreads);
  app->spec.slice = 20'000;
  Make(options);
  Attach(*app);
  Spread(*app, kKthreads);
  for (const uint32_t busy : {1u, 4u, 16u}) {
    for (KthreadId k = 0; k < kKthreads; ++k) (*app)[k].signal.set_aside.store(k < busy);
    PassFor(20 * kSlice);
    backend.turns.clear();
    const Ticks while_this_long = 100 * kSlice;
    PassFor(while_this_long);
    const auto each = static_cast<size_t>(while_this_long / std::max<Ticks>(20'000, busy * 14'000));
    std::array<size_t, kKthreads> ended{};
    for (const auto& [id, k] : backend.turns) ended[k]++;
    for (KthreadId k = 0; k < busy; ++k) {
      EXPECT_LE(ended[k], each + 1) << busy << " of them";
      EXPECT_GE(ended[k], each * 9 / 10) << busy << " of them";
    }
  }
}

}  // namespace
}  // namespace sluice
