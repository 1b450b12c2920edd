// Guarantees: admission, and who may take from whom.
#include "policies/registry.h"
#include "tests/unit/brain/allocator_fixture.h"

namespace sluice {
namespace {

using test::MachineOptions;
using test::PuppetApp;
using testing::HasSubstr;
using testing::IsEmpty;

class GuaranteeTest : public test::AllocatorTest {};

TEST_F(GuaranteeTest, AdmissionDoesTheSumInTheSentence) {
  Make(MachineOptions(4));
  PuppetApp a(0, 2, 2), b(1, 4, 1);
  Attach(a);
  Attach(b);
  EXPECT_EQ(allocator->CheckAdmission(1, 1), "");
  EXPECT_EQ(allocator->CheckAdmission(0, 8), "");
  EXPECT_EQ(allocator->CheckAdmission(2, 2),
            "2 guaranteed cores were asked for, but 3 of 4 core slots are guaranteed to others: 3 + 2 = 5 > 4; "
            "ask for at most 1");
  EXPECT_THAT(allocator->CheckAdmission(3, 2), HasSubstr("only 2 kthreads"));
  EXPECT_THAT(allocator->CheckAdmission(0, 0), HasSubstr("at least one"));
  EXPECT_THAT(allocator->CheckAdmission(0, 1025), HasSubstr("at most 1024"));
  allocator->Detach(0);
  EXPECT_EQ(allocator->CheckAdmission(3, 3), "");
}

TEST_F(GuaranteeTest, AnAppBelowItsGuaranteeTakesFromOneAboveIts) {
  Make(MachineOptions(4));
  PuppetApp rich(0, 4, 1), poor(1, 4, 3);
  Attach(rich);
  Attach(poor);
  Spread(rich, 4);
  Send(poor, 0);
  poor[0].Spawn(1000, now);
  for (int i = 0; i < 20; i++) {
    for (KthreadId k = 0; k < 4; k++) {
      if (rich[k].CedeRequested()) rich[k].Park(abi::kParkPreempted);
    }
    Pass();
    poor.StartAll();
    rich.StartAll();
  }
  // Not less than its own guarantee is left to the other, however congested the taker.
  EXPECT_EQ(allocator->share(0).held, 1);
  EXPECT_EQ(allocator->share(1).held, 3);
}

TEST_F(GuaranteeTest, BestEffortLendsToLatencyCriticalNeverTheOtherWayRound) {
  Make(MachineOptions(2));
  PuppetApp batch(0, 2, 0, Priority::kBestEffort), server(1, 2);
  Attach(batch);
  Attach(server);
  Spread(batch, 2);
  Send(server, 0);
  uint16_t asked = batch[0].CedeRequested() + batch[1].CedeRequested();
  EXPECT_EQ(asked, 1);
  for (KthreadId k = 0; k < 2; k++) {
    if (batch[k].CedeRequested()) batch[k].Park(abi::kParkPreempted);
  }
  Pass();
  ASSERT_TRUE(server[0].Start());
  server[0].Spawn(1000, now);
  for (int i = 0; i < 5; i++) {
    Pass();
    for (KthreadId k = 0; k < 2; k++) {
      if (batch[k].CedeRequested()) batch[k].Park(abi::kParkPreempted);
    }
    server.StartAll();
  }
  EXPECT_EQ(allocator->share(1).held, 2);
  EXPECT_EQ(allocator->share(0).held, 0);
  for (int i = 0; i < 20; i++) Pass();
  EXPECT_FALSE(server[0].CedeRequested() || server[1].CedeRequested());
  // What the server leaves, the batch app takes up where it was.
  server[0].RunUthreads(1000);
  server[0].Take(1);
  server[1].Park();
  Pass();
  EXPECT_EQ(allocator->share(0).held, 1);
}

TEST_F(GuaranteeTest, BurstingAppsOfOnePriorityDoNotSwapCores) {
  Make(MachineOptions(2));
  PuppetApp a(0, 2), b(1, 2);
  Attach(a);
  Attach(b);
  WakeByPacket(a);
  WakeByPacket(b);
  a[0].Spawn(1000, now);
  b[0].Spawn(1000, now);
  for (int i = 0; i < 50; i++) Pass();
  EXPECT_EQ(allocator->counters().cedes, 0u);
}

TEST_F(GuaranteeTest, ABurstGivesACoreToAnAppThatHasNone) {
  Make(MachineOptions(2));
  PuppetApp burst(0, 2), late(1, 2);
  Attach(burst);
  Spread(burst, 2);
  Attach(late);
  Send(late, 0);
  Pass();
  ASSERT_NE(burst[0].CedeRequested(), burst[1].CedeRequested());
  burst[burst[0].CedeRequested() ? 0 : 1].Park();
  Pass();
  EXPECT_TRUE(late[0].Granted());
  EXPECT_EQ(allocator->share(0).held, 1);
  EXPECT_EQ(allocator->counters().cedes, 1u);
}

TEST_F(GuaranteeTest, WhoIsOwedACoreComesBeforeWhoAskedFirst) {
  Make(MachineOptions(1));
  PuppetApp holder(0, 1), burst(1, 1), owed(2, 1, 1);
  Attach(holder);
  Attach(burst);
  WakeByPacket(holder);
  Send(burst, 0);
  Pass();
  Attach(owed);
  holder[0].Take(1);
  holder[0].Park();
  allocator->OnSent(2, 0, 1, now);
  Pass();
  EXPECT_TRUE(owed[0].Granted());
  EXPECT_FALSE(burst[0].Granted());
}

TEST_F(GuaranteeTest, ACoreOnItsWayIsTurnedToWhoIsOwedIt) {
  Make(MachineOptions(2));
  // The server's second core is on its way from the batch app when two others come with guarantees for everything.
  PuppetApp batch(0, 2, 0, Priority::kBestEffort), server(1, 2), owed(2, 1, 1), owed_too(3, 1, 1);
  Attach(batch);
  Attach(server);
  Spread(batch, 2);
  Send(server, 0);
  Send(server, 1);
  Pass();
  ASSERT_EQ(allocator->share(1).pending, 2);
  Attach(owed);
  Attach(owed_too);
  Send(owed, 0);
  Send(owed_too, 0);
  EXPECT_EQ(allocator->share(1).pending, 0);
  EXPECT_EQ(allocator->share(2).pending, 1);
  EXPECT_EQ(allocator->share(3).pending, 1);
}

// Says that an app could do with a core less.
class AlwaysGiveUp final : public CongestionInterface {
 public:
  void Attach(AppId, uint16_t) override {}
  void Detach(AppId) override {}
  Congestion Poll(AppId, std::span<const KthreadSignals>, Ticks) override { return verdict; }
  void OnGrant(AppId, Ticks) override {}
  static inline Congestion verdict = Congestion::kAddCore;
};

TEST_F(GuaranteeTest, GivingUpTakesTheNewestAndLeavesTheLast) {
  AlwaysGiveUp::verdict = Congestion::kAddCore;
  AllocatorPolicies policies{
      .pick = [](uint16_t n, std::span<const CoreId> siblings) { return MakePick("scan", n, siblings); },
      .congestion = std::make_unique<AlwaysGiveUp>(),
      .placement = MakePlacement("simple")};
  allocator = std::make_unique<Allocator>(MachineOptions(3), std::move(policies), backend, host);
  PuppetApp app(0, 3);
  Attach(app);
  Send(app, 0);
  for (int i = 0; i < 6; i++) {
    app.StartAll();
    Pass();
  }
  app[0].Take(1);
  ASSERT_EQ(allocator->share(0).held, 3);
  AlwaysGiveUp::verdict = Congestion::kGiveUp;
  const KthreadId newest = Active(app).back();
  Pass();
  EXPECT_TRUE(app[newest].CedeRequested());
  for (int i = 0; i < 6; i++) {
    for (KthreadId k = 0; k < 3; k++) {
      if (app[k].CedeRequested()) app[k].Park();
    }
    Pass();
  }
  EXPECT_EQ(allocator->share(0).held, 1);
  EXPECT_THAT(backend.interrupts, IsEmpty());
}

}  // namespace
}  // namespace sluice
