#include "iokernel/dataplane/rx.h"

#include <rte_mbuf.h>
#include <rte_prefetch.h>

#include "iokernel/abi/check.h"
#include "iokernel/abi/message.h"
#include "iokernel/dataplane/copy.h"
#include "iokernel/dataplane/frame.h"

namespace sluice {
namespace {

// 12 KiB, made once.
const abi::ToeplitzTable& SharedToeplitz() {
  static const abi::ToeplitzTable table;
  return table;
}

constexpr size_t kLine = 64;

}  // namespace

RxPath::RxPath(Port& port, AppTable& apps, LinkLevel& link, Allocator& allocator, LoopCounters& counters)
    : port_(port),
      apps_(apps),
      link_(link),
      allocator_(allocator),
      counters_(counters),
      toeplitz_(SharedToeplitz()),
      mac_(MacWord(reinterpret_cast<const std::byte*>(port.info().mac.data()))),
      can_(port.info().capabilities) {}

uint32_t RxPath::Poll(Ticks now) {
  const uint32_t count = port_.RxBurst(frames_.data(), kBurst);
  if (count == 0) return 0;
  for (uint32_t i = 0; i < count; ++i) rte_prefetch0(rte_pktmbuf_mtod(frames_[i], void*));

  arrived_ = 0;
  uint32_t ours = 0;  // frames that are still ours, to be freed
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < count; ++i) {
    rte_mbuf* frame = frames_[i];
    bytes += frame->pkt_len;
    if (Judge(frame, now)) frames_[ours++] = frame;
  }
  port_.counters().rx_packets.Add(count);
  port_.counters().rx_bytes.Add(bytes);

  if (arrived_ > 0) Deliver({arrivals_.data(), arrived_}, now);
  rte_pktmbuf_free_bulk(frames_.data(), ours);
  return count;
}

bool RxPath::Judge(rte_mbuf* frame, Ticks now) {
  const auto drop = [&](LinkDrop reason) {
    counters_.drops.Add(reason);
    return true;
  };
  if (frame->nb_segs != 1) [[unlikely]]
    return drop(LinkDrop::kSegmented);
  const bool checksum_checked =
      can_.rx_ip_checksum && (frame->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) == RTE_MBUF_F_RX_IP_CKSUM_GOOD;
  const std::span<const std::byte> bytes(rte_pktmbuf_mtod(frame, const std::byte*), frame->data_len);
  const FrameVerdict verdict = JudgeFrame(bytes, mac_, checksum_checked);
  if (verdict.kind != FrameKind::kIpv4) [[unlikely]] {
    if (verdict.kind == FrameKind::kArp) return !link_.OnArp(frame, now);
    return drop(verdict.drop);
  }

  const AppId id = apps_.FindAddress(verdict.ip.destination());
  if (id >= kMaxApps) [[unlikely]] {
    if (id == kIoKernelItself) return !link_.OnOwnPacket(frame, verdict.ip);
    return drop(LinkDrop::kNoApp);
  }
  Arrival& arrival = arrivals_[arrived_++];
  arrival.packet = bytes.data() + abi::kEthernetHeaderBytes;
  arrival.length = verdict.ip.total_bytes();
  arrival.app = id;
  const bool hashed = can_.rss_hash && (frame->ol_flags & RTE_MBUF_F_RX_RSS_HASH) != 0;
  arrival.hash = hashed ? frame->hash.rss : FlowHash(toeplitz_, verdict.ip);
  const bool l4_good =
      can_.rx_l4_checksum && (frame->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_GOOD;
  arrival.flags = l4_good ? abi::kRxL4ChecksumGood : 0;
  return true;
}

void RxPath::Deliver(std::span<const Arrival> arrivals, Ticks now) {
  // Chain the arrivals of each app, in order.
  std::array<AppId, kBurst> distinct;
  uint32_t groups = 0;
  for (uint32_t i = 0; i < arrivals.size(); ++i) {
    const AppId id = arrivals[i].app;
    uint32_t group = groups;
    // Mostly the app of the packet before; else a short search, for a burst holds few apps.
    while (group > 0 && distinct[group - 1] != id) --group;
    if (group == 0) {
      distinct[groups++] = id;
      chain_head_[id] = static_cast<uint8_t>(i);
    } else {
      chain_next_[chain_tail_[id]] = static_cast<uint8_t>(i);
    }
    chain_tail_[id] = static_cast<uint8_t>(i);
  }
  for (uint32_t group = 0; group < groups; ++group) {
    const AppId id = distinct[group];
    std::span<const Arrival> lot = arrivals;
    if (groups > 1) {
      uint32_t count = 0;
      for (uint32_t i = chain_head_[id];; i = chain_next_[i]) {
        group_[count++] = arrivals[i];
        if (i == chain_tail_[id]) break;
      }
      lot = {group_.data(), count};
    }
    AppState* app = apps_.Get(id);
    if (app != nullptr && !app->dead) {
      DeliverTo(*app, lot, now);
    } else {
      counters_.drops.Add(LinkDrop::kNoApp, lot.size());
    }
  }
}

void RxPath::DeliverTo(AppState& app, std::span<const Arrival> arrivals, Ticks now) {
  const auto wanted = static_cast<uint32_t>(arrivals.size());
  if (app.pool.free() < app.fill_below) DrainFills(app);
  const uint32_t count = app.pool.Take({buffers_.data(), wanted});
  if (count < wanted) [[unlikely]]
    app.counters.drops.Add(AppDrop::kRxNoBuffer, wanted - count);
  if (count == 0) return;

  for (uint32_t i = 0; i < count; ++i) {
    hashes_[i] = arrivals[i].hash;
    PrefetchForWrite(app.layout.RxBuffer(app.region.base(), buffers_[i]));
  }
  if (app.view->active.empty()) {
    Wish(app.steering, hashes_[0], app.hints);
    allocator_.OnArrival(app.params.id, now);
  }
  std::visit(
      [&](auto& policy) {
        policy.SteerBurst(*app.view, {hashes_.data(), count}, {kthreads_.data(), count}, now, app.hints);
      },
      app.steering);

  uint32_t touched = 0;
  for (uint32_t i = 0; i < count; ++i) {
    const Arrival& arrival = arrivals[i];
    std::byte* const to = app.layout.RxBuffer(app.region.base(), buffers_[i]);
    if (arrival.length > app.params.mtu) [[unlikely]] {
      app.counters.drops.Add(AppDrop::kRxTooLong);
      (void)app.pool.Put(buffers_[i]);
      continue;
    }
    for (size_t at = kLine; at < arrival.length && at < 4 * kLine; at += kLine) PrefetchForWrite(to + at);
    CopyPacket(to, arrival.packet, arrival.length);
    const KthreadId k = kthreads_[i];
    SLUICE_CHECK(k < app.queues.size(), "a steering policy names a kthread of the app");
    KthreadQueues& queues = app.queues[k];
    if (queues.staged == 0) touched_[touched++] = k;
    queues.messages[queues.staged++] =
        abi::Encode(abi::RxPacket{buffers_[i], arrival.hash, arrival.length, arrival.flags});
  }
  SendStaged(app, touched, now);
}

void RxPath::SendStaged(AppState& app, uint32_t touched, Ticks now) {
  for (uint32_t i = 0; i < touched; ++i) {
    const KthreadId k = touched_[i];
    KthreadQueues& queues = app.queues[k];
    const uint32_t staged = queues.staged;
    queues.staged = 0;
    uint64_t bytes = 0;
    const uint32_t sent = queues.rx.SendBurst({queues.messages.data(), staged});
    for (uint32_t m = 0; m < sent; ++m) bytes += abi::DecodeRx(queues.messages[m]).length;
    if (sent < staged) [[unlikely]] {
      app.counters.drops.Add(AppDrop::kRxRingFull, staged - sent);
      for (uint32_t m = sent; m < staged; ++m) (void)app.pool.Put(abi::DecodeRx(queues.messages[m]).buffer);
    }
    if (sent == 0) continue;
    app.counters.rx_packets.Add(sent);
    app.counters.rx_bytes.Add(bytes);
    app.kthread_counters[k].rx_packets.Add(sent);
    // May wake the app: its active kthreads may be others from here on.
    allocator_.OnSent(app.params.id, k, sent, now);
  }
}

}  // namespace sluice
