// priority-heap: the heap against a plain search, and its rule: the oldest waiting item, counted from the last grant.
#include "policies/congestion/priority_heap.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <vector>

namespace sluice {
namespace {

TEST(AppHeap, TopIsTheEarliestWhateverHappens) {
  for (uint32_t seed = 1; seed <= 100; seed++) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    const auto apps = static_cast<uint32_t>(1 + random() % kMaxApps);
    AppHeap heap;
    std::map<AppId, Ticks> model;
    for (int step = 0; step < 2000; step++) {
      const auto app = static_cast<AppId>(random() % apps);
      if (random() % 3 == 0) {
        heap.Remove(app);
        model.erase(app);
      } else {
        const Ticks time = random() % 1000;
        heap.Set(app, time);
        model[app] = time;
      }
      ASSERT_EQ(heap.size(), model.size());
      if (model.empty()) continue;
      const auto least = std::min_element(model.begin(), model.end(),
                                          [](const auto& a, const auto& b) { return a.second < b.second; });
      ASSERT_EQ(heap.top_time(), least->second);
      ASSERT_EQ(model[heap.top()], least->second);
    }
  }
}

TEST(PriorityHeap, AnAppCountsFromItsLastGrant) {
  PriorityHeap policy({.parameters = "5us"});
  policy.Attach(1, 4);
  policy.OnOldest(1, 1000);
  EXPECT_EQ(policy.Check(6000), kNoApp);
  EXPECT_EQ(policy.Check(6001), 1);
  policy.OnGrant(1, 6001);
  EXPECT_EQ(policy.Check(11'001), kNoApp) << "the core just given has its time";
  EXPECT_EQ(policy.Check(11'002), 1) << "the same item still waits";
  policy.OnOldest(1, kNothingWaits);
  EXPECT_EQ(policy.Check(1'000'000), kNoApp);
}

// Random events of many apps: Check names the app that has waited longest, or nobody; and the signal lines, polled at
// the same times, say the same of each app as the events.
TEST(PriorityHeap, EventsAndPollsAgreeWithAPlainSearch) {
  struct Plain {
    bool attached = false;
    Ticks since = kNothingWaits;
    Ticks granted = 0;
  };
  uint64_t congested = 0;
  for (uint32_t seed = 1; seed <= 100; seed++) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    PriorityHeap by_event({.parameters = "5us"}), by_poll({.parameters = "5us"});
    std::vector<Plain> apps(1 + random() % 40);
    Ticks now = 1'000'000;
    for (int step = 0; step < 1000; step++) {
      now += random() % 1000;
      const auto id = static_cast<AppId>(random() % apps.size());
      Plain& app = apps[id];
      if (!app.attached) {
        app = {.attached = true};
        by_event.Attach(id, 8);
        by_poll.Attach(id, 8);
      }
      if (random() % 100 == 0) {
        app.attached = false;
        by_event.Detach(id);
        by_poll.Detach(id);
        continue;
      }
      if (random() % 10 == 0) {
        app.granted = now;
        by_event.OnGrant(id, now);
        by_poll.OnGrant(id, now);
      }
      std::vector<KthreadSignals> signals(random() % 5);
      app.since = kNothingWaits;
      for (KthreadSignals& s : signals) {
        if (random() % 4 == 0) app.since = std::min(app.since, s.oldest_uthread = now - random() % 10'000);
        if (random() % 4 == 0) app.since = std::min(app.since, s.oldest_packet = now - random() % 10'000);
      }
      by_event.OnOldest(id, app.since);
      const bool waits = app.since != kNothingWaits && now - std::max(app.since, app.granted) > 5000;
      ASSERT_EQ(by_poll.Poll(id, signals, now), waits ? Congestion::kAddCore : Congestion::kKeep);

      Ticks earliest = kNothingWaits;
      for (const Plain& a : apps) {
        if (a.attached && a.since != kNothingWaits) earliest = std::min(earliest, std::max(a.since, a.granted));
      }
      const AppId top = by_event.Check(now);
      if (earliest == kNothingWaits || now - std::min(now, earliest) <= 5000) {
        ASSERT_EQ(top, kNoApp);
      } else {
        ASSERT_LT(top, apps.size());
        ASSERT_TRUE(apps[top].attached);
        ASSERT_EQ(std::max(apps[top].since, apps[top].granted), earliest);
        congested++;
      }
      ASSERT_EQ(by_poll.Check(now) == kNoApp, top == kNoApp);
    }
  }
  EXPECT_GT(congested, 1000u);
}

}  // namespace
}  // namespace sluice
