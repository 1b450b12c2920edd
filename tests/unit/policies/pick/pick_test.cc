// scan against a naive model; memoized against scan, every difference explained.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "policies/pick/memoized.h"
#include "policies/pick/null.h"
#include "policies/pick/scan.h"

namespace sluice {
namespace {

// Cores 2i and 2i+1 are siblings; with an odd count the last one has none.
std::vector<CoreId> Siblings(uint16_t cores) {
  std::vector<CoreId> sibling(cores, kNoCore);
  for (CoreId c = 0; c + 1 < cores; c += 2) {
    sibling[c] = static_cast<CoreId>(c + 1);
    sibling[c + 1] = c;
  }
  return sibling;
}

// A machine with one app: who runs where, who parked when.
struct Machine {
  explicit Machine(uint16_t kthreads, uint16_t cores)
      : running_on(kthreads, kNoCore), last_core(kthreads, kNoCore), parked_at(kthreads), on_core(cores, kNoKthread) {
    for (KthreadId k = 0; k < kthreads; k++) parked_at[k] = k;
    clock = kthreads;
  }
  void Run(KthreadId k, CoreId c) {
    running_on[k] = last_core[k] = c;
    on_core[c] = k;
  }
  void Park(KthreadId k) {
    on_core[running_on[k]] = kNoKthread;
    running_on[k] = kNoCore;
    parked_at[k] = ++clock;
  }
  [[nodiscard]] bool Parked(KthreadId k) const { return running_on[k] == kNoCore; }

  // Among parked kthreads that satisfy `keep`, the one that parked last (or first).
  template <class F>
  KthreadId Parked(bool latest, F keep) const {
    KthreadId found = kNoKthread;
    for (KthreadId k = 0; k < parked_at.size(); k++) {
      if (!Parked(k) || !keep(k)) continue;
      if (found == kNoKthread || (latest ? parked_at[k] > parked_at[found] : parked_at[k] < parked_at[found]))
        found = k;
    }
    return found;
  }

  std::vector<CoreId> running_on, last_core;
  std::vector<uint64_t> parked_at;
  std::vector<KthreadId> on_core;
  uint64_t clock = 0;
};

KthreadId NaiveScan(const Machine& m, CoreId core, CoreId sibling) {
  const KthreadId here = m.Parked(true, [&](KthreadId k) { return m.last_core[k] == core; });
  if (here != kNoKthread) return here;
  const KthreadId beside = m.Parked(true, [&](KthreadId k) { return sibling != kNoCore && m.last_core[k] == sibling; });
  if (beside != kNoKthread) return beside;
  return m.Parked(false, [](KthreadId) { return true; });
}

// What memoized may do differently, and why: its slot for a core names the *last* kthread that ran there. If that
// one runs or has run elsewhere since, an older parked kthread of the same core is out of its sight.
void ExplainDifference(const Machine& m, const MemoizedPick& memoized, KthreadId by_scan, KthreadId by_memo,
                       CoreId core, CoreId sibling) {
  ASSERT_FALSE(memoized.IsFresh(core)) << "a fresh memo must give what scan gives";
  if (m.last_core[by_scan] == core) return;  // the older kthread of this core
  ASSERT_EQ(m.last_core[by_scan], sibling) << "only a stale slot may hide a kthread";
  ASSERT_FALSE(memoized.IsFresh(sibling)) << "a fresh memo of the sibling must give what scan gives";
  ASSERT_EQ(by_memo, m.Parked(false, [](KthreadId) { return true; })) << "nothing remembered: least recently used";
}

struct Tally {
  uint64_t same = 0, different = 0;
};

void DriveBoth(uint32_t seed, Tally* tally) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const auto kthreads = static_cast<uint16_t>(1 + random() % 24);
  const auto cores = static_cast<uint16_t>(1 + random() % 16);
  const auto sibling = Siblings(cores);
  Machine m(kthreads, cores);
  ScanPick scan(kthreads, sibling);
  MemoizedPick memoized(kthreads, sibling);
  for (int step = 0; step < 400; step++) {
    const auto core = static_cast<CoreId>(random() % cores);
    if (m.on_core[core] != kNoKthread) {
      const KthreadId k = m.on_core[core];
      m.Park(k);
      scan.OnPark(k, core);
      memoized.OnPark(k, core);
      continue;
    }
    const KthreadId by_scan = scan.Pick({}, core);
    const KthreadId by_memo = memoized.Pick({}, core);
    ASSERT_EQ(by_scan, NaiveScan(m, core, sibling[core]));
    ASSERT_EQ(by_scan == kNoKthread, by_memo == kNoKthread);
    if (by_scan == kNoKthread) continue;
    ASSERT_TRUE(m.Parked(by_memo));
    if (by_scan != by_memo) {
      tally->different++;
      ASSERT_NO_FATAL_FAILURE(ExplainDifference(m, memoized, by_scan, by_memo, core, sibling[core]));
    } else {
      tally->same++;
    }
    // Both must live with whoever was chosen: by either, or by the allocator itself (a preempted kthread).
    KthreadId chosen = random() % 2 == 0 ? by_scan : by_memo;
    if (random() % 4 == 0) {
      const auto any = static_cast<KthreadId>(random() % kthreads);
      if (m.Parked(any)) chosen = any;
    }
    m.Run(chosen, core);
    scan.OnRun(chosen, core);
    memoized.OnRun(chosen, core);
  }
}

TEST(Pick, MemoizedIsScanWheneverItsMemoIsFresh) {
  Tally tally;
  for (uint32_t seed = 1; seed <= 1000; seed++) {
    ASSERT_NO_FATAL_FAILURE(DriveBoth(seed, &tally));
  }
  // Both cases were met, and the usual one is agreement.
  EXPECT_GT(tally.different, 100u);
  EXPECT_GT(tally.same, 10 * tally.different);
}

template <class P>
class PickRules : public ::testing::Test {
 protected:
  std::vector<CoreId> sibling_ = Siblings(4);
  P pick_{4, sibling_};
  void RunAndPark(KthreadId k, CoreId c) {
    pick_.OnRun(k, c);
    pick_.OnPark(k, c);
  }
};
using Picks = ::testing::Types<ScanPick, MemoizedPick>;
TYPED_TEST_SUITE(PickRules, Picks);

TYPED_TEST(PickRules, AtFirstTheLowestIsTheLeastRecentlyUsed) {
  for (KthreadId k = 0; k < 4; k++) {
    EXPECT_EQ(this->pick_.Pick({}, k), k);
    this->pick_.OnRun(k, k);
  }
  EXPECT_EQ(this->pick_.Pick({}, 0), kNoKthread);
}

TYPED_TEST(PickRules, PrefersWhoRanHereThenBesideThenLeastRecent) {
  this->RunAndPark(3, 0);
  this->RunAndPark(2, 1);
  EXPECT_EQ(this->pick_.Pick({}, 0), 3);
  EXPECT_EQ(this->pick_.Pick({}, 1), 2);
  this->pick_.OnRun(3, 0);
  EXPECT_EQ(this->pick_.Pick({}, 0), 2) << "the sibling's";
  EXPECT_EQ(this->pick_.Pick({}, 3), 0) << "nobody ran there or beside";
}

// Danian's listing: an empty slot is NULL and is dereferenced.
TYPED_TEST(PickRules, ACoreNobodyRanOnIsNoFault) { EXPECT_EQ(this->pick_.Pick({}, 3), 0); }

// Danian's listing: a kthread that moved sits in two slots, and is taken for a core it has left.
TYPED_TEST(PickRules, AKthreadThatMovedIsForgottenWhereItWas) {
  this->RunAndPark(3, 0);
  this->RunAndPark(3, 2);
  EXPECT_EQ(this->pick_.Pick({}, 0), 0) << "not 3, which ran on core 2 last";
  EXPECT_EQ(this->pick_.Pick({}, 2), 3);
}

TYPED_TEST(PickRules, ARunningKthreadIsNeverPicked) {
  this->pick_.OnRun(1, 0);
  this->pick_.OnRun(1, 0);  // said twice
  EXPECT_EQ(this->pick_.Pick({}, 0), 0);
  this->pick_.OnPark(1, 0);
  this->pick_.OnPark(1, 0);
  EXPECT_EQ(this->pick_.Pick({}, 0), 1);
}

TYPED_TEST(PickRules, AKthreadThatParksTwiceKeepsItsPlace) {
  for (KthreadId k = 0; k < 4; k++) this->RunAndPark(k, 3);
  this->pick_.OnPark(1, 3);
  for (KthreadId k = 0; k < 4; k++) {
    EXPECT_EQ(this->pick_.Pick({}, 0), k) << "least recently used";
    this->pick_.OnRun(k, k);
  }
  EXPECT_EQ(this->pick_.Pick({}, 0), kNoKthread);
}

// The difference, in the smallest case: core 0 had 3, then 2; 2 is away now.
TEST(Pick, AStaleMemoHidesAnOlderKthreadOfTheCore) {
  const auto sibling = Siblings(4);
  ScanPick scan(4, sibling);
  MemoizedPick memoized(4, sibling);
  const auto both = [&](auto&& f) { f(scan), f(memoized); };
  both([](auto& p) { p.OnRun(3, 0), p.OnPark(3, 0), p.OnRun(2, 0), p.OnPark(2, 0), p.OnRun(2, 2); });
  EXPECT_EQ(scan.Pick({}, 0), 3);
  EXPECT_EQ(memoized.Pick({}, 0), 0);
}

TEST(Pick, NullPicksNobody) {
  NullPick pick(4, {});
  pick.OnRun(0, 0);
  pick.OnPark(0, 0);
  EXPECT_EQ(pick.Pick({}, 0), kNoKthread);
}

}  // namespace
}  // namespace sluice
