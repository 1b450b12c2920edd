#include "iokernel/dataplane/neighbour.h"

#include <gtest/gtest.h>

#include <map>

namespace sluice {
namespace {

constexpr uint32_t kHop = 0x0a000063;
constexpr uint32_t kAsker = 0x0a000002;
constexpr abi::MacAddress kMac = {2, 0, 0, 0, 0, 9};
constexpr abi::MacAddress kOther = {2, 0, 0, 0, 0, 8};
constexpr AppId kApp = 3;
constexpr Ticks kMs = 1'000'000;

// Frames are only names here.
rte_mbuf* Frame(uintptr_t n) { return reinterpret_cast<rte_mbuf*>(n * 64); }

struct Recorder final : NeighbourHost {
  void SendArpRequest(uint32_t target, uint32_t, const abi::MacAddress* to) override {
    ++requests[target];
    unicast = to != nullptr;
  }
  void SendWaiting(rte_mbuf* frame, AppId, const abi::MacAddress& mac) override {
    sent.push_back(frame);
    last_mac = mac;
  }
  void DropWaiting(rte_mbuf* frame, AppId) override { dropped.push_back(frame); }

  std::map<uint32_t, int> requests;
  bool unicast = false;
  std::vector<rte_mbuf*> sent, dropped;
  abi::MacAddress last_mac{};
};

struct NeighbourTest : ::testing::Test {
  NeighbourTest() {
    options.neighbours = 16;
    options.waiting_per_hop = 4;
    options.waiting = 24;  // 6 of one app
    options.arp_retry_ms = 50;
    options.arp_tries = 3;
    options.arp_hold_ms = 1000;
    table = std::make_unique<NeighbourTable>(options, abi::TickRate(1'000'000'000), host, counters);
  }
  NeighbourTable::WaitResult Wait(uint32_t hop, uintptr_t frame, AppId app = kApp) {
    return table->Wait(hop, kAsker, Frame(frame), app, now);
  }
  void Pass(uint64_t ms) {
    now += ms * kMs;
    table->Sweep(table->size(), now);
  }
  bool Known(uint32_t hop = kHop) { return table->Find(hop, kAsker, now) != nullptr; }

  LinkOptions options;
  Recorder host;
  LoopCounters counters;
  std::unique_ptr<NeighbourTable> table;
  Ticks now = 1000 * kMs;
};

using Result = NeighbourTable::WaitResult;

TEST_F(NeighbourTest, AsksOnceAndSendsWhatWaitedInOrder) {
  EXPECT_FALSE(Known());
  for (uintptr_t f = 1; f <= 3; ++f) EXPECT_EQ(Wait(kHop, f), Result::kWaiting);
  EXPECT_EQ(host.requests[kHop], 1);
  EXPECT_TRUE(table->OnReply(kHop, kMac, now));
  EXPECT_EQ(host.sent, (std::vector{Frame(1), Frame(2), Frame(3)}));
  EXPECT_EQ(host.last_mac, kMac);
  EXPECT_TRUE(Known());
  EXPECT_EQ(table->waiting(), 0u);
}

TEST_F(NeighbourTest, AskedWithGrowingPausesThenGivenUpThenLeftAlone) {
  EXPECT_EQ(Wait(kHop, 1), Result::kWaiting);
  Pass(49);
  EXPECT_EQ(host.requests[kHop], 1);
  Pass(1);
  EXPECT_EQ(host.requests[kHop], 2);
  Pass(99);
  EXPECT_EQ(host.requests[kHop], 2);
  Pass(1);
  EXPECT_EQ(host.requests[kHop], 3);
  Pass(199);
  EXPECT_TRUE(host.dropped.empty());
  Pass(1);
  EXPECT_EQ(host.dropped.size(), 1u);
  EXPECT_EQ(counters.neighbours_failed.Get(), 1u);
  EXPECT_EQ(Wait(kHop, 2), Result::kUnreachable);
  EXPECT_EQ(host.requests[kHop], 3);
  Pass(1000);
  EXPECT_EQ(Wait(kHop, 3), Result::kWaiting);
  EXPECT_EQ(host.requests[kHop], 4);
}

TEST_F(NeighbourTest, TheQueueOfOneHopIsBounded) {
  for (uintptr_t f = 1; f <= 4; ++f) EXPECT_EQ(Wait(kHop, f), Result::kWaiting);
  EXPECT_EQ(Wait(kHop, 5), Result::kFull);
  EXPECT_EQ(table->waiting(), 4u);
}

TEST_F(NeighbourTest, OneAppGetsAQuarterOfTheRoom) {
  for (uint32_t hop = 0; hop < 6; ++hop) EXPECT_EQ(Wait(kHop + hop, hop + 1), Result::kWaiting);
  EXPECT_EQ(Wait(kHop + 6, 7), Result::kFull);
  EXPECT_EQ(Wait(kHop + 6, 7, kApp + 1), Result::kWaiting);
}

TEST_F(NeighbourTest, AReplyNobodyAskedForChangesNothing) {
  EXPECT_FALSE(table->OnReply(kHop, kMac, now));
  EXPECT_FALSE(Known());
  table->OnRequest(kHop, kMac, now);
  EXPECT_FALSE(table->OnReply(kHop, kOther, now));
  EXPECT_EQ(*table->Find(kHop, kAsker, now), kMac);
}

TEST_F(NeighbourTest, AnAnnouncementOfAnotherMacMakesUsAsk) {
  table->OnRequest(kHop, kMac, now);
  ASSERT_TRUE(Known());
  table->OnAnnouncement(kHop, kOther, now);
  EXPECT_EQ(*table->Find(kHop, kAsker, now), kMac);
  Pass(0);
  EXPECT_EQ(host.requests[kHop], 1);
  EXPECT_TRUE(table->OnReply(kHop, kOther, now));
  EXPECT_EQ(*table->Find(kHop, kAsker, now), kOther);
}

TEST_F(NeighbourTest, AnAnnouncementOfAStrangerIsNothingToUs) {
  table->OnAnnouncement(kHop, kMac, now);
  EXPECT_FALSE(Known());
  EXPECT_EQ(counters.neighbours.Get(), 0u);
}

TEST_F(NeighbourTest, AHopInUseIsAskedAloneWhenItsAnswerIsOld) {
  table->OnRequest(kHop, kMac, now);
  Pass(options.reachable_ms);
  EXPECT_EQ(host.requests[kHop], 0) << "nobody uses it";
  ASSERT_TRUE(Known());
  Pass(1);
  Pass(0);
  EXPECT_EQ(host.requests[kHop], 1);
  EXPECT_TRUE(host.unicast);
  EXPECT_TRUE(Known()) << "packets go on meanwhile";
  for (int i = 0; i < 4; ++i) Pass(1000);
  EXPECT_EQ(host.requests[kHop], 3);
  EXPECT_FALSE(host.unicast) << "the last try asks everybody";
  EXPECT_FALSE(Known());
}

TEST_F(NeighbourTest, AHopNotUsedIsForgotten) {
  table->OnRequest(kHop, kMac, now);
  ASSERT_EQ(counters.neighbours.Get(), 1u);
  Pass(options.forget_ms + 1);
  EXPECT_EQ(counters.neighbours.Get(), 0u);
}

TEST_F(NeighbourTest, QuestionsDoNotDisplaceAnswersInUse) {
  std::vector<uint32_t> good;
  for (uint32_t i = 0; i < 8; ++i) {
    table->OnRequest(kHop + i, kMac, now);
    if (Known(kHop + i)) good.push_back(kHop + i);
  }
  for (uint32_t i = 0; i < 1000; ++i) {
    now += 10 * kMs;
    (void)Wait(0x0b000000 + i, i + 1, static_cast<AppId>(i % 200));
  }
  uint32_t kept = 0;
  for (const uint32_t hop : good) kept += Known(hop) ? 1 : 0;
  EXPECT_EQ(kept, good.size());
  EXPECT_LE(counters.neighbours.Get(), 16u);
  EXPECT_GT(counters.neighbours_evicted.Get(), 0u);
}

TEST_F(NeighbourTest, RequestsPerSecondAreBounded) {
  for (uint32_t i = 0; i < 10'000; ++i) {
    now += kMs / 100;  // 100 000 new addresses a second, for 0.1 s
    (void)Wait(0x0b000000 + i, i + 1, static_cast<AppId>(i % 200));
  }
  int requests = 0;
  for (const auto& [target, count] : host.requests) requests += count;
  EXPECT_LE(requests, 64 + 2000 / 10 + 1);
  EXPECT_GT(requests, 64);
}

TEST_F(NeighbourTest, AnAppThatGoesTakesOnlyItsOwnPackets) {
  EXPECT_EQ(Wait(kHop, 1, 1), Result::kWaiting);
  EXPECT_EQ(Wait(kHop, 2, 2), Result::kWaiting);
  EXPECT_EQ(Wait(kHop, 3, 1), Result::kWaiting);
  EXPECT_EQ(Wait(kHop, 4, 2), Result::kWaiting);
  table->ForgetApp(1);
  EXPECT_EQ(host.dropped, (std::vector{Frame(1), Frame(3)}));
  EXPECT_TRUE(table->OnReply(kHop, kMac, now));
  EXPECT_EQ(host.sent, (std::vector{Frame(2), Frame(4)}));
}

}  // namespace
}  // namespace sluice
