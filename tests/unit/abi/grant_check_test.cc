// grant_check_test.cc - every interleaving of the grant handshake, store buffers included, in small worlds.
//
// The first tests say that no schedule of the real code breaks an invariant of grant.h; the canaries say that the
// checker would have seen it: each plants one fault and must find a schedule that shows it.
#include <gtest/gtest.h>

#include <iostream>

#include "tests/unit/abi/grant_model.h"

namespace sluice::abi {
namespace {

using interleave::Outcome;
using interleave::Search;

constexpr size_t kMaxStates = 4'000'000;

Outcome Explore(const Shape& shape, Bug bug, bool reorder) {
  GrantModel model(shape, bug);
  return Search<GrantModel>(model, reorder).Run(kMaxStates);
}

void ExpectSound(const char* name, const Shape& shape, bool reorder) {
  const Outcome outcome = Explore(shape, Bug::kNone, reorder);
  std::cout << name << (reorder ? ", stores reordered: " : ", stores in order: ") << outcome.states << " states, "
            << outcome.transitions << " transitions\n";
  EXPECT_TRUE(outcome.complete);
  EXPECT_EQ(outcome.violation, "") << outcome.schedule;
}

void ExpectSound(const char* name, const Shape& shape) {
  for (const bool reorder : {false, true}) ExpectSound(name, shape, reorder);
}

TEST(GrantCheck, OneKthread) { ExpectSound("one kthread, two packets", {.packets = 2}); }
TEST(GrantCheck, OneKthreadIsCeded) { ExpectSound("one kthread, two cedes", {.packets = 2, .cedes = 2}); }
TEST(GrantCheck, OneKthreadIsKicked) { ExpectSound("one kthread, two kicks", {.cedes = 1, .pushes = 2}); }
TEST(GrantCheck, OneKthreadHasATimer) { ExpectSound("one kthread, a timer", {.cedes = 1, .timer = true}); }
TEST(GrantCheck, OneOfEach) { ExpectSound("one of each", {.cedes = 1, .pushes = 1, .timer = true}); }
TEST(GrantCheck, TwoKthreadsOneCore) {
  ExpectSound("two kthreads, one core", {.kthreads = 2, .packets = 1, .cedes = 1, .adds = 1});
}
TEST(GrantCheck, TwoKthreadsTwoCores) {
  ExpectSound("two kthreads, two cores", {.kthreads = 2, .cores = 2, .packets = 1, .cedes = 0, .adds = 1});
}
TEST(GrantCheck, TwoKthreadsParkWhileDrained) {
  ExpectSound("two kthreads, park while drained",
              {.kthreads = 2, .cores = 2, .packets = 1, .cedes = 0, .adds = 1, .max_generation = 2}, false);
}
TEST(GrantCheck, TwoKthreadsKicked) {
  ExpectSound("two kthreads, kicked", {.kthreads = 2, .cores = 2, .packets = 0, .adds = 1, .pushes = 1});
}

// ---- canaries ---------------------------------------------------------------------------------------

// `with_order`: whether the fault shows when each thread's stores become visible in order.
void ExpectFound(const char* what, const Shape& shape, Bug bug, const char* violation, bool with_order = true) {
  if (!with_order) {
    EXPECT_EQ(Explore(shape, bug, false).violation, "") << "in order this fault was thought to be harmless";
  }
  const Outcome outcome = Explore(shape, bug, !with_order);
  std::cout << what << ": " << outcome.violation << " after\n" << outcome.schedule;
  EXPECT_EQ(outcome.violation, violation);
  EXPECT_NE(outcome.schedule, "");
}

constexpr char kStuck[] = "the end cannot be reached any more";
constexpr char kPacketsWait[] = "packets wait at a kthread that is left asleep";
constexpr char kUthreadWaits[] = "an interrupted uthread waits at a kthread that is left asleep";

TEST(GrantCanary, IgnoreRx) { ExpectFound("WorkWaits without rx", {.packets = 2}, Bug::kIgnoreRx, kPacketsWait); }
TEST(GrantCanary, IgnoreTimer) {
  ExpectFound("WorkWaits without the timer", {.timer = true}, Bug::kIgnoreTimer, kStuck);
}
TEST(GrantCanary, IgnoreKick) { ExpectFound("no look at the kick word", {.pushes = 1}, Bug::kIgnoreKick, kStuck); }
TEST(GrantCanary, IgnorePreempted) {
  ExpectFound("WorkWaits without the interrupted uthread", {.cedes = 1}, Bug::kIgnorePreempted, kUthreadWaits);
}
TEST(GrantCanary, ParkedFirst) {
  ExpectFound("parked stored before the record", {.cedes = 1}, Bug::kParkedFirst, kUthreadWaits);
}
TEST(GrantCanary, ParkedRelaxed) {
  ExpectFound("parked stored without release", {.cedes = 1}, Bug::kParkedRelaxed, kUthreadWaits, false);
}
TEST(GrantCanary, SleepBlind) { ExpectFound("sleep without the generation", {}, Bug::kSleepBlind, kStuck); }
TEST(GrantCanary, SteerToCeding) {
  ExpectFound("steering to a ceding kthread", {.packets = 2, .cedes = 1}, Bug::kSteerToCeding,
              "a packet goes to a kthread that was asked for its core");
}
TEST(GrantCanary, SteerToParked) {
  ExpectFound("steering to a parked kthread that is not woken", {}, Bug::kSteerToParked, kPacketsWait);
}
TEST(GrantCanary, KickBeforePush) {
  ExpectFound("kick before push", {.packets = 1, .pushes = 1}, Bug::kKickBeforePush, kStuck);
}
TEST(GrantCanary, KickReadLate) {
  ExpectFound("kick read after the inbox", {.packets = 1, .pushes = 1}, Bug::kKickReadLate, kStuck);
}
TEST(GrantCanary, CedeAnyGeneration) {
  ExpectFound("heeding an old cede", {.packets = 2, .cedes = 1}, Bug::kCedeAnyGeneration,
              "a kthread heeds a cede that is not for this grant");
}
TEST(GrantCanary, NoAcknowledgement) {
  ExpectFound("running on after a park", {}, Bug::kNoAcknowledgement, "a uthread runs without a core");
}

}  // namespace
}  // namespace sluice::abi
