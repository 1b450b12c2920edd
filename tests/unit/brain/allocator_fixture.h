// allocator_fixture.h - an allocator between a recording backend and a recording host, and a clock to turn.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "iokernel/brain/allocator.h"
#include "tests/lib/puppet.h"

namespace sluice::test {

class AllocatorTest : public testing::Test {
 protected:
  void Make(const AllocatorOptions& options) { allocator = std::make_unique<Allocator>(options, backend, host); }
  void Attach(PuppetApp& app) { allocator->Attach(app.spec, app.Memory()); }
  void Pass() { allocator->Pass(now += 5000); }
  void Send(const PuppetApp& app, KthreadId k, uint32_t count = 1) { allocator->OnSent(app.spec.id, k, count, now); }
  const AppView& View(const PuppetApp& app) { return allocator->View(app.spec.id); }
  std::vector<KthreadId> Active(const PuppetApp& app) {
    const auto& active = View(app).active;
    return {active.begin(), active.end()};
  }
  // Gives `app` a core by a packet for its landing kthread, and lets that kthread run.
  KthreadId WakeByPacket(PuppetApp& app) {
    const KthreadId k = View(app).landing;
    Send(app, k);
    EXPECT_TRUE(app[k].Start());
    Pass();
    return k;
  }
  // Kthread 0 is woken by a packet, takes it, and parks before any pass has seen it run.
  void NapUntil(PuppetApp& app, Ticks next_timer) {
    Send(app, 0);
    ASSERT_TRUE(app[0].Start());
    app[0].Take(1);
    app[0].next_timer = next_timer;
    app[0].Park();
  }
  // Makes kthread 0 look congested until the app holds `cores`, every one of them running.
  void Spread(PuppetApp& app, uint16_t cores) {
    WakeByPacket(app);
    app[0].Spawn(1000, now);
    for (int i = 0; i < 1000 && allocator->share(app.spec.id).held < cores; i++) {
      Pass();
      app.StartAll();
    }
    app[0].RunUthreads(1000);
    app[0].Take(1);
    Pass();
    ASSERT_EQ(allocator->share(app.spec.id).held, cores);
  }

  RecordingBackend backend;
  RecordingHost host;
  std::unique_ptr<Allocator> allocator;
  Ticks now = 1'000'000;
};

// One core, held by `hog`; `owed` is guaranteed it and has a packet.
class ContendedTest : public AllocatorTest {
 protected:
  void MakeContended(const AllocatorOptions& options) {
    Make(options);
    Attach(hog);
    WakeByPacket(hog);
    hog[0].Take(1);
    Attach(owed);
    Send(owed, 0);
  }

  PuppetApp hog{0, 2}, owed{1, 2, 1};
};

}  // namespace sluice::test
