// service_test.cc - service times: what can be written, and that they are drawn as written.
#include "apps/lib/service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::apps {
namespace {

using ::testing::HasSubstr;

double MeanOfDraws(const ServiceTime& service) {
  std::mt19937_64 random(7);
  double sum = 0;
  constexpr int kDraws = 200'000;
  for (int i = 0; i < kDraws; ++i) sum += service.DrawNs(random);
  return sum / kDraws;
}

TEST(Service, ConstantIsConstant) {
  const auto service = ServiceTime::Parse("const:10us");
  ASSERT_TRUE(service);
  std::mt19937_64 random(1);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(service->DrawNs(random), 10'000u);
}

TEST(Service, ExponentialHasItsMeanAndItsSpread) {
  const auto service = ServiceTime::Parse("exp:10us");
  ASSERT_TRUE(service);
  EXPECT_NEAR(MeanOfDraws(*service), 10'000, 200);
  std::mt19937_64 random(2);
  int beyond_mean = 0;
  for (int i = 0; i < 10'000; ++i) beyond_mean += service->DrawNs(random) > 10'000;
  EXPECT_NEAR(beyond_mean, 3679, 200);  // 1/e of them
}

TEST(Service, BimodalTakesTheTwoValuesInTheirShares) {
  const auto service = ServiceTime::Parse("bimodal:0.995:0.5us:500us");
  ASSERT_TRUE(service);
  EXPECT_NEAR(service->MeanNs(), 2997.5, 1e-6);
  std::mt19937_64 random(3);
  int longer = 0;
  for (int i = 0; i < 100'000; ++i) {
    const uint32_t ns = service->DrawNs(random);
    ASSERT_TRUE(ns == 500 || ns == 500'000) << ns;
    longer += ns == 500'000;
  }
  EXPECT_NEAR(longer, 500, 100);
}

TEST(Service, ErrorsSayWhatIsAllowed) {
  for (const char* wrong : {"", "10us", "const", "const:10", "const:5s", "exp:10us:2us", "bimodal:0.5:1us",
                            "bimodal:1.5:1us:2us", "bimodal:x:1us:2us", "pareto:1us"}) {
    const auto service = ServiceTime::Parse(wrong);
    ASSERT_FALSE(service) << wrong;
    EXPECT_THAT(service.error(), HasSubstr("allowed"));
  }
}

TEST(Service, TheSpinnerWorksInProportion) {
  const Spinner spinner = Spinner::Calibrate();
  EXPECT_GT(spinner.rounds_per_ns(), 0.01);
  EXPECT_LT(spinner.rounds_per_ns(), 10);
}

}  // namespace
}  // namespace sluice::apps
