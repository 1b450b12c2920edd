// world.h - a dataplane loop with a port made of two lists, and apps played by the test.
//
// Everything runs in the test's thread, step by step, on virtual time.
#pragma once

#include <gtest/gtest.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "iokernel/abi/message.h"
#include "iokernel/abi/toeplitz.h"
#include "iokernel/abi/wire.h"
#include "iokernel/dataplane/app.h"
#include "iokernel/dataplane/app_state.h"
#include "iokernel/dataplane/loop.h"
#include "iokernel/grant/backend.h"
#include "runtime/io/region_view.h"
#include "tests/lib/eal.h"

namespace sluice::test {

using Bytes = std::vector<std::byte>;

inline constexpr abi::MacAddress kPortMac = {0x02, 0, 0, 0, 0, 0x01};
inline constexpr abi::MacAddress kPeerMac = {0x02, 0, 0, 0, 0, 0x99};
inline constexpr uint32_t Ip(uint8_t a, uint8_t b, uint8_t c, uint8_t d) {
  return uint32_t{a} << 24 | uint32_t{b} << 16 | uint32_t{c} << 8 | d;
}
inline constexpr uint32_t kOwn = Ip(10, 0, 0, 1);
inline constexpr uint32_t kAppA = Ip(10, 0, 0, 2);
inline constexpr uint32_t kAppB = Ip(10, 0, 0, 3);
inline constexpr uint32_t kPeer = Ip(10, 0, 0, 99);

// ---- frames ---------------------------------------------------------------------------------------

struct UdpSpec {
  uint32_t source = kPeer;
  uint32_t destination = kAppA;
  uint16_t source_port = 1000;
  uint16_t destination_port = 2000;
  uint16_t payload_bytes = 18;
};

inline Bytes UdpPacket(const UdpSpec& spec = {}) {
  Bytes packet(abi::kIpv4HeaderBytes + abi::kUdpHeaderBytes + spec.payload_bytes);
  for (size_t i = 28; i < packet.size(); ++i) packet[i] = static_cast<std::byte>(i);
  abi::WriteUdp(packet.data() + 20,
                {spec.source, spec.destination, spec.source_port, spec.destination_port, spec.payload_bytes});
  abi::WriteIpv4(packet.data(), {spec.source, spec.destination,
                                 static_cast<uint16_t>(packet.size() - abi::kIpv4HeaderBytes), 0, abi::kProtocolUdp});
  return packet;
}

inline Bytes Framed(const Bytes& packet, uint16_t type = abi::kEtherTypeIpv4, const abi::MacAddress& to = kPortMac,
                    const abi::MacAddress& from = kPeerMac) {
  Bytes frame(abi::kEthernetHeaderBytes + packet.size());
  abi::WriteEthernet(frame.data(), to, from, type);
  std::copy(packet.begin(), packet.end(), frame.data() + abi::kEthernetHeaderBytes);
  return frame;
}

inline Bytes UdpFrame(const UdpSpec& spec = {}) { return Framed(UdpPacket(spec)); }

// After a change of the header.
inline void FixIpChecksum(std::byte* ip) {
  abi::StoreBe16(ip + 10, 0);
  abi::StoreBe16(ip + 10, abi::Checksum({ip, abi::Ipv4View(ip).header_bytes()}));
}

inline Bytes ArpFrame(const abi::ArpFields& fields, const abi::MacAddress& to = abi::kBroadcastMac) {
  Bytes packet(abi::kArpBytes);
  abi::WriteArp(packet.data(), fields);
  return Framed(packet, abi::kEtherTypeArp, to, fields.sender_mac);
}

inline Bytes ArpRequestFor(uint32_t target, uint32_t sender = kPeer, const abi::MacAddress& mac = kPeerMac) {
  return ArpFrame({abi::kArpRequest, mac, sender, {}, target});
}
inline Bytes ArpReplyFrom(uint32_t sender, uint32_t to = kOwn, const abi::MacAddress& mac = kPeerMac) {
  return ArpFrame({abi::kArpReply, mac, sender, kPortMac, to}, kPortMac);
}

// ---- the port -------------------------------------------------------------------------------------

class ListPort final : public Port {
 public:
  explicit ListPort(uint32_t mbufs = 2048) {
    testing::StartEal();
    static int made = 0;
    pool_ = rte_pktmbuf_pool_create(("list" + std::to_string(made++)).c_str(), mbufs, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
                                    SOCKET_ID_ANY);
    SLUICE_CHECK(pool_ != nullptr, "EAL memory for the test's packets");
    mbufs_ = mbufs;
    info_.name = "list";
    info_.mac = kPortMac;
  }
  ~ListPort() override { rte_mempool_free(pool_); }

  uint16_t RxBurst(rte_mbuf** out, uint16_t count) override {
    uint16_t got = 0;
    while (got < count && !in.empty()) {
      rte_mbuf* frame = rte_pktmbuf_alloc(pool_);
      if (frame == nullptr) break;
      const Bytes bytes = std::move(in.front());
      in.pop_front();
      std::memcpy(rte_pktmbuf_append(frame, static_cast<uint16_t>(bytes.size())), bytes.data(), bytes.size());
      if (segmented) frame->nb_segs = 2;
      out[got++] = frame;
    }
    return got;
  }

  uint16_t TxBurst(rte_mbuf** frames, uint16_t count) override {
    uint16_t taken = 0;
    while (taken < count && takes > 0) {
      rte_mbuf* frame = frames[taken++];
      const auto* begin = rte_pktmbuf_mtod(frame, const std::byte*);
      out.emplace_back(begin, begin + frame->data_len);
      rte_pktmbuf_free(frame);
      --takes;
    }
    return taken;
  }

  [[nodiscard]] uint32_t mbufs_in_use() const { return mbufs_ - rte_mempool_avail_count(pool_); }

  std::deque<Bytes> in;
  std::deque<Bytes> out;
  uint64_t takes = ~uint64_t{0};  // how many frames it will still take
  bool segmented = false;

 private:
  uint32_t mbufs_ = 0;
};

// ---- an app ---------------------------------------------------------------------------------------

struct AppSpecs {
  AppId id = 0;
  uint32_t address = kAppA;
  uint16_t kthreads = 2;
  std::string steering = "rss";
  uint16_t guaranteed = 0;
  abi::Geometry geometry{0, 64, 64, 256, 256, 2048};
};

class PlayedApp {
 public:
  explicit PlayedApp(const AppSpecs& specs) {
    AppParams params;
    params.id = specs.id;
    params.name = "app" + std::to_string(specs.id);
    params.address = specs.address;
    params.geometry = specs.geometry;
    params.geometry.kthreads = specs.kthreads;
    params.steering = specs.steering;
    params.guaranteed = specs.guaranteed;
    params.flows = 1000;
    params.cores = 4;
    params.tsc_hz = 1'000'000'000;
    auto made = DataplaneApp::Make(params);
    EXPECT_TRUE(made.has_value()) << made.error();
    app = std::move(*made);
    region = {app->base(), app->layout()};
    for (uint32_t k = 0; k < specs.kthreads; ++k) kthreads.emplace_back(region, k);
  }

  // Acknowledges the grant of kthread k, if it has one.
  bool Start(uint32_t k) {
    return kthreads[k].grant.AwaitGrant([](const auto&, uint32_t) { return false; });
  }
  void StartAll() {
    for (uint32_t k = 0; k < kthreads.size(); ++k) Start(k);
  }
  void Park(uint32_t k) {
    auto& io = kthreads[k];
    io.rx.PublishHead();
    io.grant.Park({io.rx.received(), 0, abi::kNoTimer, 0});
  }

  // Takes one packet, keeping its buffer unless `give_back`.
  bool Receive(uint32_t k, Bytes* packet = nullptr, bool give_back = true) {
    auto& io = kthreads[k];
    abi::LrpcMessage message;
    if (!io.rx.Receive(&message)) return false;
    const abi::RxPacket rx = abi::DecodeRx(message);
    if (packet != nullptr) packet->assign(region.RxBuffer(rx.buffer), region.RxBuffer(rx.buffer) + rx.length);
    io.rx.PublishHead();
    io.block->signal.rx_consumed.store(io.rx.received());
    if (give_back) {
      EXPECT_TRUE(io.fill.Send(abi::EncodeFill(rx.buffer).command, rx.buffer));
    } else {
      kept.push_back(rx.buffer);
    }
    return true;
  }
  uint32_t ReceiveAll(bool give_back = true) {
    uint32_t count = 0;
    for (uint32_t k = 0; k < kthreads.size(); ++k) {
      while (Receive(k, nullptr, give_back)) ++count;
    }
    return count;
  }

  bool Send(uint32_t k, const Bytes& packet) {
    auto& io = kthreads[k];
    if (io.tx.Free(1) == 0) return false;
    std::memcpy(io.NextTxBuffer(), packet.data(), packet.size());
    const auto message = abi::Encode(abi::TxPacket{static_cast<uint16_t>(packet.size()), 0});
    return io.tx.Send(message.command, message.payload);
  }
  // A TX message as the test says it, over whatever is in the buffer.
  bool SendRaw(uint32_t k, uint64_t command) { return kthreads[k].tx.Send(command, 0); }

  [[nodiscard]] const AppCounters& counters() const { return app->counters(); }
  [[nodiscard]] uint64_t drops(AppDrop reason) const { return app->counters().drops.Get(reason); }
  [[nodiscard]] uint64_t all_drops() const {
    uint64_t sum = 0;
    for (size_t i = 0; i < static_cast<size_t>(AppDrop::kCount); ++i) sum += app->counters().drops.At(i).Get();
    return sum;
  }

  std::unique_ptr<DataplaneApp> app;
  io::RegionView region;
  std::vector<io::KthreadIo> kthreads;
  std::vector<uint32_t> kept;
};

// ---- all of it ------------------------------------------------------------------------------------

struct WorldOptions {
  bool own_address = true;
  std::vector<RouteConfig> routes = {};
  uint32_t waiting_per_hop = 4;
  uint32_t waiting = 64;
};

class World {
 public:
  explicit World(const WorldOptions& wishes = {}) {
    LoopOptions options;
    for (uint16_t cpu = 0; cpu < 4; ++cpu) options.allocator.cores.push_back({cpu, 0, kNoCore});
    options.allocator.interval = 5000;
    if (wishes.own_address) options.link.address = Ipv4Net{kOwn, 24};
    options.link.routes = wishes.routes;
    options.link.neighbours = 64;
    options.link.waiting_per_hop = wishes.waiting_per_hop;
    options.link.waiting = wishes.waiting;
    options.rate = abi::TickRate(1'000'000'000);
    loop = std::make_unique<Loop>(options, port, backend);
  }
  ~World() {
    // Nothing may be lost on any path a test has gone.
    loop.reset();
    EXPECT_EQ(port.mbufs_in_use(), 0u);
  }

  // One iteration, a pass of the allocator included.
  void Step() {
    now += 5000;
    loop->Once(now);
  }
  void Steps(int count) {
    for (int i = 0; i < count; ++i) Step();
  }
  // Lets virtual time go by; every entry of the neighbour table is looked at.
  void Wait(uint64_t ms) {
    now += ms * 1'000'000;
    Steps(40);
  }

  PlayedApp& Attach(const AppSpecs& specs) {
    apps.push_back(std::make_unique<PlayedApp>(specs));
    PlayedApp& app = *apps.back();
    EXPECT_TRUE(loop->Post({CommandKind::kAttach, specs.id, app.app.get()}));
    Step();
    Reply reply;
    EXPECT_TRUE(loop->NextReply(&reply));
    EXPECT_EQ(reply.app, app.app.get());
    Step();
    EXPECT_EQ(port.out.size(), 1u) << "its address is announced";
    port.out.clear();
    return app;
  }
  // Attached, and one kthread runs: woken by a packet, which it takes.
  PlayedApp& AttachRunning(const AppSpecs& specs) {
    PlayedApp& app = Attach(specs);
    port.in.push_back(UdpFrame({.destination = specs.address}));
    Steps(2);
    app.StartAll();
    Steps(2);
    EXPECT_EQ(app.ReceiveAll(), 1u);
    return app;
  }
  void Detach(AppId id) {
    EXPECT_TRUE(loop->Post({CommandKind::kDetach, id, nullptr}));
    Step();
    Reply reply;
    EXPECT_TRUE(loop->NextReply(&reply));
    EXPECT_NE(reply.app, nullptr);
  }
  // The peer tells us its MAC, by asking for ours.
  void Introduce(uint32_t peer = kPeer, const abi::MacAddress& mac = kPeerMac) {
    port.in.push_back(ArpRequestFor(kOwn, peer, mac));
    Step();
    EXPECT_FALSE(port.out.empty());
    port.out.clear();
  }

  [[nodiscard]] uint64_t drops(LinkDrop reason) const { return loop->counters().drops.Get(reason); }
  [[nodiscard]] uint64_t all_link_drops() const {
    uint64_t sum = 0;
    for (size_t i = 0; i < static_cast<size_t>(LinkDrop::kCount); ++i) sum += loop->counters().drops.At(i).Get();
    return sum;
  }
  // The two sums of counters.h.
  void ExpectAccounts() const {
    const LoopCounters& c = loop->counters();
    uint64_t reached = 0;
    for (const auto& app : apps) {
      reached += app->counters().rx_packets.Get() + app->drops(AppDrop::kRxNoBuffer) +
                 app->drops(AppDrop::kRxRingFull) + app->drops(AppDrop::kRxTooLong);
      uint64_t sent =
          app->counters().tx_packets.Get() + app->counters().local_sent.Get() + app->counters().tx_waiting.Get();
      for (auto r = static_cast<size_t>(AppDrop::kTxType); r <= static_cast<size_t>(AppDrop::kTxLocalFull); ++r) {
        sent += app->counters().drops.At(r).Get();
      }
      EXPECT_EQ(app->counters().tx_taken.Get(), sent);
    }
    EXPECT_EQ(port.counters().rx_packets.Get() + c.local_packets.Get(),
              c.arp_packets.Get() + c.echo_packets.Get() + all_link_drops() + reached);
  }

  ListPort port;
  NullBackend backend;
  Ticks now = 1'000'000'000;
  std::vector<std::unique_ptr<PlayedApp>> apps;
  std::unique_ptr<Loop> loop;
};

}  // namespace sluice::test
