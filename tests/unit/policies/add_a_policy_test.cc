// The worked examples of docs/policies.md, "Adding a policy": if they stop compiling, the page is wrong.
#include <gtest/gtest.h>

// [example steering]
#include "policies/concepts.h"

namespace sluice {

// Two choices: of the two kthreads that the hash names, the one with the shorter ring.
class TwoChoices {
 public:
  static constexpr std::string_view kName = "two-choices";
  static constexpr std::string_view kSummary = "the emptier of two kthreads that the hash names";

  explicit TwoChoices(const SteeringOptions& /*options*/) {}

  void SteerBurst(const AppView& view, std::span<const uint32_t> hash, std::span<KthreadId> out, Ticks /*now*/,
                  Hints& /*hints*/) {
    const auto count = static_cast<uint32_t>(view.active.size());
    for (size_t i = 0; i < hash.size(); i++) {
      if (count == 0) {
        out[i] = view.landing;
        continue;
      }
      const KthreadId a = view.active[(hash[i] & 0xffff) % count];
      const KthreadId b = view.active[(hash[i] >> 16) % count];
      out[i] = Queued(view.kthreads[b]) < Queued(view.kthreads[a]) ? b : a;
    }
  }
  void OnActiveChange(const AppView& /*view*/) {}
  void Idle(uint32_t /*budget*/, Ticks /*now*/) {}

 private:
  static uint32_t Queued(const KthreadView& kthread) { return kthread.rx_sent - kthread.rx_consumed; }
};

static_assert(SteeringPolicy<TwoChoices>);

}  // namespace sluice
// [example steering]

#include <algorithm>
#include <fstream>
#include <sstream>

#include "policies/pick/idle_list.h"

namespace sluice {
namespace {

std::string Contents(const std::string& path) {
  std::ifstream file(std::string(SLUICE_SOURCE_DIR) + "/" + path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(AddAPolicy, TheExampleOfTheDocsIsTheOneAbove) {
  const std::string mark = "// [example steering]\n";
  const std::string source = Contents("tests/unit/policies/add_a_policy_test.cc");
  const size_t begin = source.find(mark) + mark.size();
  const std::string example = source.substr(begin, source.find(mark, begin) - begin);
  EXPECT_GT(example.size(), 500u);
  EXPECT_LT(std::count(example.begin(), example.end(), '\n'), 60) << "a policy in 60 lines";
  EXPECT_NE(Contents("docs/policies.md").find(example), std::string::npos);
}

// The other kinds are as short.
class MostRecentPick {
 public:
  static constexpr std::string_view kName = "most-recent";
  static constexpr std::string_view kSummary = "the one that parked last";
  MostRecentPick(uint16_t kthreads, std::span<const CoreId> /*sibling*/) : idle_(kthreads) {}
  KthreadId Pick(const AppView& /*view*/, CoreId /*core*/) { return idle_.MostRecent(); }
  void OnRun(KthreadId k, CoreId core) { idle_.OnRun(k, core); }
  void OnPark(KthreadId k, CoreId core) { idle_.OnPark(k, core); }

 private:
  IdleList idle_;
};
static_assert(PickPolicy<MostRecentPick>);

TEST(AddAPolicy, TwoChoicesTakesTheEmptierRing) {
  TwoChoices policy({});
  const std::vector<KthreadView> kthreads = {{.rx_sent = 9}, {.rx_sent = 4}, {.rx_sent = 1}};
  const std::vector<KthreadId> active = {0, 1, 2};
  const std::vector<uint32_t> hash = {0x00000001, 0x00010000, 0x00020001, 0x00020002};
  std::vector<KthreadId> out(hash.size());
  Hints hints;
  AppView view;
  view.landing = 5;
  policy.SteerBurst(view, hash, out, 0, hints);
  EXPECT_EQ(out, (std::vector<KthreadId>{5, 5, 5, 5}));
  view.active = active;
  view.kthreads = kthreads;
  policy.SteerBurst(view, hash, out, 0, hints);
  EXPECT_EQ(out, (std::vector<KthreadId>{1, 1, 2, 2}));
}

TEST(AddAPolicy, MostRecentTakesTheOneThatParkedLast) {
  MostRecentPick pick(3, {});
  pick.OnRun(0, 0);
  pick.OnRun(2, 0);
  pick.OnPark(2, 0);
  pick.OnPark(0, 0);
  EXPECT_EQ(pick.Pick({}, 0), 0);
}

}  // namespace
}  // namespace sluice
