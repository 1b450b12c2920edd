// tx_fuzz.cc - libFuzzer target: what an app may put on its TX and fill rings, through the real dataplane loop.
//
// The input is a list of records: 2 bytes that choose the ring and the message's type, 2 bytes of length as the
// message says it, 1 byte: how many bytes follow for the TX buffer. For each: what must hold for any bytes is that
// nothing of another app's memory or of ours is touched (the sanitizers watch), that every packet that leaves is a
// sound IPv4 packet from the app's own address, that every message is accounted for, and that no frame is lost.
#include <rte_mbuf.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>

#include "iokernel/abi/check.h"
#include "iokernel/abi/message.h"
#include "iokernel/abi/wire.h"
#include "iokernel/dataplane/app.h"
#include "iokernel/dataplane/loop.h"
#include "iokernel/grant/backend.h"
#include "runtime/io/region_view.h"
#include "tests/lib/eal.h"

namespace sluice {
namespace {

constexpr uint32_t kOwn = 0x0a000001;
constexpr uint32_t kApp = 0x0a000002;
constexpr uint32_t kPeer = 0x0a000063;
constexpr abi::MacAddress kMac = {2, 0, 0, 0, 0, 1};
constexpr abi::MacAddress kPeerMac = {2, 0, 0, 0, 0, 9};

// Brings one frame at a time, and judges what leaves.
class FuzzPort final : public Port {
 public:
  FuzzPort() {
    pool_ = rte_pktmbuf_pool_create("fuzz", 1024, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
    SLUICE_CHECK(pool_ != nullptr, "EAL memory for the fuzzer's packets");
    info_.mac = kMac;
  }
  uint16_t RxBurst(rte_mbuf** out, uint16_t) override {
    if (bytes_ == 0) return 0;
    out[0] = rte_pktmbuf_alloc(pool_);
    SLUICE_CHECK(out[0] != nullptr, "frames have been lost");
    std::memcpy(rte_pktmbuf_append(out[0], bytes_), frame_, bytes_);
    bytes_ = 0;
    return 1;
  }
  uint16_t TxBurst(rte_mbuf** frames, uint16_t count) override {
    for (uint16_t i = 0; i < count; ++i) {
      Judge({rte_pktmbuf_mtod(frames[i], const std::byte*), frames[i]->data_len});
      rte_pktmbuf_free(frames[i]);
    }
    return count;
  }
  std::byte* Bring(uint16_t bytes) {
    bytes_ = bytes;
    return frame_;
  }

 private:
  static void Judge(std::span<const std::byte> bytes) {
    const auto frame = abi::ParseEthernet(bytes);
    SLUICE_CHECK(frame && frame->source() == kMac, "a frame leaves that is not ours");
    if (frame->ether_type() == abi::kEtherTypeArp) return;
    const auto ip = abi::ParseIpv4(frame->payload());
    SLUICE_CHECK(ip && abi::Ipv4ChecksumGood(*ip), "an unsound packet leaves");
    SLUICE_CHECK(ip->packet().size() == frame->payload().size(), "more leaves than the packet");
    SLUICE_CHECK(ip->source() == kApp, "a packet leaves in another's name");
  }
  std::byte frame_[256];
  uint16_t bytes_ = 0;
};

// One app with one running kthread, for all inputs.
class World {
 public:
  World() {
    AppParams params;
    params.id = 0;
    params.name = "fuzz";
    params.address = kApp;
    params.geometry = {1, 64, 64, 64, 64, 2048};
    app_ = std::move(*DataplaneApp::Make(params));
    LoopOptions options;
    options.allocator.cores = {{0, 0, kNoCore}};
    options.allocator.interval = 1000;
    options.link.address = Ipv4Net{kOwn, 24};
    options.rate = abi::TickRate(1'000'000'000);
    loop_ = std::make_unique<Loop>(options, port_, backend_);
    SLUICE_CHECK(loop_->Post({CommandKind::kAttach, 0, app_.get()}), "an empty queue has room");
    region_ = {app_->base(), app_->layout()};
    io_ = io::KthreadIo(region_, 0);
    Step();
    // The peer makes itself known, then a packet wakes the app.
    std::byte* arp = port_.Bring(abi::kEthernetHeaderBytes + abi::kArpBytes);
    abi::WriteEthernet(arp, abi::kBroadcastMac, kPeerMac, abi::kEtherTypeArp);
    abi::WriteArp(arp + 14, {abi::kArpRequest, kPeerMac, kPeer, {}, kOwn});
    Step();
    std::byte* udp = port_.Bring(14 + 20 + 8);
    abi::WriteEthernet(udp, kMac, kPeerMac, abi::kEtherTypeIpv4);
    abi::WriteUdp(udp + 34, {kPeer, kApp, 1, 2, 0});
    abi::WriteIpv4(udp + 14, {kPeer, kApp, 8, 0, abi::kProtocolUdp});
    Step();
    SLUICE_CHECK(io_.grant.AwaitGrant([](const auto&, uint32_t) { return false; }), "a packet wakes the app");
    Step();
  }

  void Send(uint8_t type, uint16_t length, std::span<const uint8_t> bytes) {
    if (io_.tx.Free(1) == 0) Step();
    std::memcpy(io_.NextTxBuffer(), bytes.data(), bytes.size());
    ++sent_;
    SLUICE_CHECK(io_.tx.Send(uint64_t{type} | uint64_t{length} << 16, 0), "TX slots do not come back");
  }
  void Fill(uint8_t type, uint64_t payload) {
    if (io_.fill.Free(1) == 0) Step();
    (void)io_.fill.Send(type, payload);
  }
  void Finish() {
    for (int i = 0; i < 8; ++i) Step();
    const AppCounters& c = app_->counters();
    SLUICE_CHECK(c.tx_taken.Get() == sent_, "a message has not been taken");
    uint64_t decided = c.tx_packets.Get() + c.local_sent.Get() + c.tx_waiting.Get();
    for (auto r = static_cast<size_t>(AppDrop::kTxType); r <= static_cast<size_t>(AppDrop::kTxLocalFull); ++r) {
      decided += c.drops.At(r).Get();
    }
    SLUICE_CHECK(decided == sent_, "a message is not accounted for");
    abi::LrpcMessage message;
    while (io_.rx.Receive(&message)) {
    }
    io_.rx.PublishHead();
    io_.block->signal.rx_consumed.store(io_.rx.received());
  }

 private:
  void Step() { loop_->Once(now_ += 2000); }

  FuzzPort port_;
  NullBackend backend_;
  std::unique_ptr<DataplaneApp> app_;
  std::unique_ptr<Loop> loop_;
  io::RegionView region_;
  io::KthreadIo io_;
  Ticks now_ = 1'000'000;
  uint64_t sent_ = 0;
};

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sluice::testing::StartEal();
  // Kept for the life of the process: making one takes longer than a thousand inputs.
  static auto* const world = new sluice::World;
  size_t at = 0;
  while (size - at >= 5) {
    const bool fill = (data[at] & 1) != 0;
    // Mostly the right type, or the fuzzer would learn little.
    const auto right =
        static_cast<uint8_t>(fill ? sluice::abi::MessageType::kFillBuffer : sluice::abi::MessageType::kTxPacket);
    const uint8_t type = (data[at] & 0xe) != 0 ? right : data[at + 1];
    const auto length = static_cast<uint16_t>(data[at + 2] << 8 | data[at + 3]);
    const size_t bytes = std::min<size_t>(data[at + 4], size - at - 5);
    at += 5;
    if (fill) {
      world->Fill(type, length == 0xffff ? ~uint64_t{0} : length);
    } else {
      world->Send(type, length, {data + at, bytes});
    }
    at += bytes;
  }
  world->Finish();
  return 0;
}
