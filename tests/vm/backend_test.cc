// backend_test.cc - KschedBackend on the real module: what it does about an app that lies about its parks.
#include "iokernel/grant/ksched.h"
#include "tests/vm/rig.h"

namespace sluice::vm {
namespace {

constexpr AppId kLiar = 0, kNext = 1;

class KschedBackendTest : public KschedTest {
 protected:
  void SetUp() override {
    KschedTest::SetUp();
    FutexOptions options;
    options.core_cpus = {kFirstCore, kFirstCore + 1};
    options.overstay = kOverstay;
    backend_ = std::make_unique<KschedBackend>(std::move(device_), options);
  }
  void Enrol(AppId app, const Worker& worker) {
    const EnrolledThread thread{.tid = worker.tid(), .generation = nullptr};
    backend_->Enrol(app, getpid(), {&thread, 1}, Priority::kLatencyCritical);
  }

  // Longer than a worker of a slow guest needs to park; far shorter than the module's own grace.
  static constexpr Ticks kOverstay = 1'000'000;
  std::unique_ptr<KschedBackend> backend_;
};

// The IOKernel believes the word of an app that it has parked; the next one's core does not depend on it.
TEST_F(KschedBackendTest, WhoSaysThatHeHasParkedAndStaysIsPutOff) {
  const Parameter grace("grace_us", 3'600'000'000);
  const auto liar = MakeWorker(), next = MakeWorker();
  Enrol(kLiar, *liar);
  Enrol(kNext, *next);
  liar->Hold(true);
  backend_->Wake(kLiar, 0, 0);
  backend_->Flush();
  ASSERT_TRUE(Eventually([&] { return liar->grants() == 1; }));
  backend_->Wake(kNext, 0, 0);
  EXPECT_TRUE(Eventually([&] {
    backend_->Flush();
    return next->grants() == 1;
  }));
  EXPECT_EQ(1u, backend_->counters().overstays);
  EXPECT_EQ(0u, backend_->counters().failures);
}

// Regression: eviction took both, and the grant of the second was lost.
TEST_F(KschedBackendTest, WhoIsSlowToParkKeepsTheCpuThatItWasGrantedMeanwhile) {
  const Parameter grace("grace_us", 3'600'000'000);
  const auto slow = MakeWorker(), next = MakeWorker();
  Enrol(kLiar, *slow);
  Enrol(kNext, *next);
  slow->Hold(true);
  backend_->Wake(kLiar, 0, 0);
  backend_->Flush();
  ASSERT_TRUE(Eventually([&] { return slow->grants() == 1; }));
  backend_->Wake(kNext, 0, 0);
  backend_->Wake(kLiar, 0, 1);
  for (const Ticks end = abi::ReadTsc() + 3 * kOverstay; abi::ReadTsc() < end;) backend_->Flush();
  EXPECT_EQ(0u, backend_->counters().overstays);
  slow->Hold(false);
  EXPECT_TRUE(Eventually([&] { return slow->grants() == 2 && next->grants() == 1; }));
}

}  // namespace
}  // namespace sluice::vm
