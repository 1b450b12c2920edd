// flow_affinity_fixture.h - what the tests of flow-affinity share: EAL, a policy of some size, and an app whose
// kthreads come and go.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <numeric>
#include <vector>

#include "policies/steering/flow_affinity.h"
#include "tests/lib/eal.h"
#include "tests/unit/policies/fake_app.h"

namespace sluice::testing {

class FlowAffinityTest : public ::testing::Test {
 protected:
  void SetUp() override { StartEal(); }

  static FlowAffinity Make(uint16_t kthreads, uint32_t flows = 1000) {
    return FlowAffinity({.max_kthreads = kthreads, .cores = kthreads, .flows = flows});
  }
  static void Run(FlowAffinity& policy, FakeApp& app, KthreadId k, CoreId core) {
    app.Run(k, core);
    policy.OnActiveChange(app.view());
  }
  static void Park(FlowAffinity& policy, FakeApp& app, KthreadId k) {
    app.Park(k);
    policy.OnActiveChange(app.view());
  }
  static std::vector<uint32_t> Flows(uint32_t count, uint32_t first = 0) {
    std::vector<uint32_t> flows(count);
    std::iota(flows.begin(), flows.end(), first);
    return flows;
  }
};

}  // namespace sluice::testing
