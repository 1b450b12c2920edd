#include "iokernel/dataplane/tx.h"

#include <rte_mbuf.h>
#include <rte_prefetch.h>

#include <algorithm>

#include "iokernel/abi/message.h"
#include "iokernel/dataplane/copy.h"
#include "iokernel/dataplane/frame.h"

namespace sluice {

TxPath::TxPath(Port& port, PortOut& out, AppTable& apps, LinkLevel& link, RxPath& rx, LoopCounters& counters)
    : port_(port), out_(out), apps_(apps), link_(link), rx_(rx), counters_(counters) {}

TxPath::~TxPath() { rte_pktmbuf_free_bulk(local_frames_.data(), local_); }

uint32_t TxPath::DrainAll(Ticks now) {
  const uint32_t apps = apps_.count();
  if (apps == 0) return 0;
  // The first gets the most when there is little room: everybody is first in turn.
  if (++first_app_ >= apps) first_app_ = 0;
  uint32_t taken = 0;
  for (uint32_t i = 0; i < apps; ++i) {
    const uint32_t at = first_app_ + i;
    AppState& app = *apps_.Get(apps_.At(at < apps ? at : at - apps));
    for (const KthreadId k : app.polled) {
      const uint32_t room = std::min(out_.room(), kLocalPackets - local_);
      taken += Drain(app, k, std::min(room, app.queues[k].tx_batch), now);
    }
  }
  return taken;
}

void TxPath::DrainParked(AppState& app, KthreadId k, Ticks now) {
  KthreadQueues& queues = app.queues[k];
  // It can send no more than its ring holds before it is granted again; a liar is left to the next round.
  for (uint32_t left = queues.tx_mask + 1; left > 0;) {
    const uint32_t taken = Drain(app, k, std::min(left, queues.tx_batch), now);
    if (taken == 0) return;
    left -= taken;
  }
}

uint32_t TxPath::Drain(AppState& app, KthreadId k, uint32_t most, Ticks now) {
  if (most == 0) return 0;
  KthreadQueues& queues = app.queues[k];
  const uint32_t first_slot = queues.tx.received();
  const uint32_t count = queues.tx.ReceiveBurst({messages_.data(), most});
  if (count == 0) return 0;
  const uint32_t frames = CopyOut(app, queues, first_slot, count);
  // Everything is ours now: the slots and their buffers go back. This is the completion.
  queues.tx.PublishHead();
  app.counters.tx_taken.Add(count);
  app.kthread_counters[k].tx_packets.Add(count);
  for (uint32_t i = 0; i < frames; ++i) Route(app, frames_[i], now);
  return count;
}

uint32_t TxPath::CopyOut(AppState& app, const KthreadQueues& queues, uint32_t first_slot, uint32_t count) {
  const uint32_t longest = std::min(app.params.mtu, port_.info().mtu);
  const uint32_t buffer_size = app.layout.geometry().buffer_size;
  struct Good {
    const std::byte* packet;
    uint32_t length;
  };
  std::array<Good, kDrainBurst> good;
  uint32_t frames = 0;
  for (uint32_t i = 0; i < count; ++i) {
    if (abi::TypeOf(messages_[i]) != abi::MessageType::kTxPacket) [[unlikely]] {
      app.counters.drops.Add(AppDrop::kTxType);
      continue;
    }
    const uint32_t length = abi::DecodeTx(messages_[i]).length;
    if (length < abi::kIpv4HeaderBytes || length > longest) [[unlikely]] {
      app.counters.drops.Add(AppDrop::kTxLength);
      continue;
    }
    const std::byte* packet = queues.tx_buffers + size_t{(first_slot + i) & queues.tx_mask} * buffer_size;
    rte_prefetch0(packet);
    good[frames++] = {packet, length};
  }
  if (frames == 0) return 0;
  if (rte_pktmbuf_alloc_bulk(port_.pool(), frames_.data(), frames) != 0) [[unlikely]] {
    app.counters.drops.Add(AppDrop::kTxNoMbuf, frames);
    return 0;
  }
  for (uint32_t i = 0; i < frames; ++i) {
    rte_mbuf* frame = frames_[i];
    CopyPacket(rte_pktmbuf_mtod(frame, std::byte*) + abi::kEthernetHeaderBytes, good[i].packet, good[i].length);
    frame->data_len = static_cast<uint16_t>(abi::kEthernetHeaderBytes + good[i].length);
    frame->pkt_len = frame->data_len;
  }
  return frames;
}

void TxPath::Route(AppState& app, rte_mbuf* frame, Ticks now) {
  const auto drop = [&](AppDrop reason) {
    app.counters.drops.Add(reason);
    rte_pktmbuf_free(frame);
  };
  const std::span<const std::byte> packet(rte_pktmbuf_mtod(frame, const std::byte*) + abi::kEthernetHeaderBytes,
                                          frame->data_len - abi::kEthernetHeaderBytes);
  const auto ip = abi::ParseIpv4(packet);
  if (!ip || ip->total_bytes() != packet.size() || ip->ttl() == 0) return drop(AppDrop::kTxHeader);
  if (!abi::Ipv4ChecksumGood(*ip)) return drop(AppDrop::kTxChecksum);
  if (ip->source() != app.params.address) return drop(AppDrop::kTxSource);
  const uint32_t destination = ip->destination();
  const AppId here = apps_.FindAddress(destination);
  if (here == kNoApp) return link_.Send(app, frame, destination, now);
  if (here == kIoKernelItself) return drop(AppDrop::kTxOwnAddress);
  SendLocal(app, frame, *ip, here);
}

void TxPath::SendLocal(AppState& app, rte_mbuf* frame, const abi::Ipv4View& ip, AppId to) {
  if (local_ == kLocalPackets) {
    app.counters.drops.Add(AppDrop::kTxLocalFull);
    rte_pktmbuf_free(frame);
    return;
  }
  local_frames_[local_] = frame;
  local_arrivals_[local_] = {ip.packet().data(), FlowHash(rx_.toeplitz(), ip), ip.total_bytes(), to, 0};
  ++local_;
  app.counters.local_sent.Add();
}

void TxPath::DeliverLocal(Ticks now) {
  for (uint32_t first = 0; first < local_; first += kBurst) {
    const uint32_t lot = std::min(local_ - first, kBurst);
    counters_.local_packets.Add(lot);
    rx_.Deliver({&local_arrivals_[first], lot}, now);
  }
  rte_pktmbuf_free_bulk(local_frames_.data(), local_);
  local_ = 0;
}

}  // namespace sluice
