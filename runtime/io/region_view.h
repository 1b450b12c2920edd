// region_view.h - the app's side of the shared region: where its header, lines, rings and buffers are.
//
// Threads: a RegionView is constant after Open. A KthreadIo belongs to its kthread, except `rx`, which
// belongs to whoever holds that kthread's softirq flag.
#pragma once

#include <cstddef>
#include <cstdint>

#include "iokernel/abi/lrpc.h"
#include "iokernel/abi/region.h"

namespace sluice::io {

struct RegionView {
  std::byte* base = nullptr;
  abi::RegionLayout layout;

  [[nodiscard]] const abi::RegionHeader& header() const { return *layout.Header(base); }
  [[nodiscard]] std::atomic<uint32_t>& kick() const { return layout.App(base)->kick; }
  [[nodiscard]] uint32_t kthreads() const { return layout.geometry().kthreads; }
  [[nodiscard]] std::byte* RxBuffer(uint32_t buffer) const { return layout.RxBuffer(base, buffer); }
};

// One kthread's ends of its rings and lines.
struct KthreadIo {
  KthreadIo() = default;
  KthreadIo(const RegionView& region, uint32_t kthread)
      : block(region.layout.Kthread(region.base, kthread)),
        rx(region.layout.RxRing(region.base, kthread), region.layout.geometry().rx_slots, &block->app_heads.head0),
        tx(region.layout.TxRing(region.base, kthread), region.layout.geometry().tx_slots, &block->iokernel_heads.head0),
        fill(region.layout.FillRing(region.base, kthread), region.layout.geometry().fill_slots,
             &block->iokernel_heads.head1),
        grant(&block->signal, &block->grant),
        tx_buffers(region.layout.TxBuffer(region.base, kthread, 0)),
        buffer_size(region.layout.geometry().buffer_size),
        tx_mask(region.layout.geometry().tx_slots - 1) {}

  // The buffer that the next TX message will own; valid while tx.Free(1) > 0.
  [[nodiscard]] std::byte* NextTxBuffer() const { return tx_buffers + size_t{tx.sent() & tx_mask} * buffer_size; }

  abi::KthreadBlock* block = nullptr;
  abi::LrpcReceiver rx;
  abi::LrpcSender tx;
  abi::LrpcSender fill;
  abi::GrantHolder grant;
  std::byte* tx_buffers = nullptr;
  uint32_t buffer_size = 0;
  uint32_t tx_mask = 0;
};

}  // namespace sluice::io
