// app_state.h - what the dataplane loop knows of one app. Private to the dataplane.
//
// Thread: the control thread makes it, then it is the loop's alone until the reply to kDetach; counters may be
// read at any time.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "iokernel/abi/lrpc.h"
#include "iokernel/abi/region.h"
#include "iokernel/dataplane/app.h"
#include "iokernel/dataplane/buffer_pool.h"
#include "iokernel/dataplane/counters.h"
#include "iokernel/dataplane/region.h"
#include "iokernel/dataplane/settings.h"
#include "policies/registry.h"
#include "policies/views.h"

namespace sluice {

// Frames taken from the port at once, and packets delivered to one app at once.
inline constexpr uint32_t kBurst = 64;
// Messages taken from one ring at once.
inline constexpr uint32_t kDrainBurst = 32;

// The IOKernel's ends of one kthread's rings, and what is staged for it within a burst.
struct KthreadQueues {
  abi::LrpcSender rx;
  abi::LrpcReceiver tx;
  abi::LrpcReceiver fill;
  const std::byte* tx_buffers = nullptr;
  uint32_t tx_mask = 0;
  // TX messages taken before their slots are given back. Below a quarter of the ring, at which the ring itself would
  // give slots back: not before the packets have been copied.
  uint32_t tx_batch = 0;
  uint32_t staged = 0;
  std::array<abi::LrpcMessage, kBurst> messages;
};

struct DataplaneApp::State {
  explicit State(Region&& memory) : region(std::move(memory)) {}

  AppParams params;
  Ipv4Net net;  // its address with its network
  Region region;
  abi::RegionLayout layout;
  AppMemory memory;      // for the allocator
  BrainAppPtr prepared;  // by the allocator: before the attachment, and again after it
  SteeringVariant steering;
  Hints hints;
  BufferPool pool;
  uint32_t fill_below = 0;  // fill rings are emptied when the pool has fewer buffers than this
  std::vector<KthreadQueues> queues;

  // The loop's view while attached.
  const AppView* view = nullptr;
  bool dead = false;              // its memory failed: it has no cores and no address any more
  std::vector<KthreadId> polled;  // kthreads that have a core: their TX rings are looked at

  AppCounters counters;
  std::vector<KthreadCounters> kthread_counters;
};

using AppState = DataplaneApp::State;

// fill.cc: takes what kthread k has put on its fill ring, at most `most` messages; returns how many buffers came back.
uint32_t DrainFill(AppState& app, KthreadId k, uint32_t most);
// The same for every kthread.
void DrainFills(AppState& app);

}  // namespace sluice
