#include "iokernel/dataplane/app.h"

#include <algorithm>
#include <cstring>

#include "iokernel/abi/check.h"
#include "iokernel/abi/toeplitz.h"
#include "iokernel/dataplane/app_state.h"

namespace sluice {
namespace {

void WriteHeader(abi::RegionHeader& header, const AppParams& params, size_t bytes) {
  header.version = abi::kAbiVersion;
  header.header_bytes = sizeof(header);
  header.features = params.features;
  header.epoch = params.epoch;
  header.bytes = bytes;
  header.tsc_hz = params.tsc_hz;
  header.geometry = params.geometry;
  header.address = params.address;
  header.prefix_bits = params.prefix_bits;
  header.mtu = params.mtu;
  header.delivery = static_cast<uint32_t>(abi::Delivery::kDirect);
  header.shared_cpus = params.shared_cpus ? 1 : 0;
  static_assert(sizeof(header.toeplitz_key) == sizeof(abi::kDefaultToeplitzKey));
  std::memcpy(header.toeplitz_key, abi::kDefaultToeplitzKey.data(), sizeof(header.toeplitz_key));
  header.magic = abi::kMagic;
}

KthreadQueues MakeQueues(const abi::RegionLayout& layout, std::byte* base, uint32_t k) {
  const abi::Geometry& sizes = layout.geometry();
  abi::KthreadBlock* block = layout.Kthread(base, k);
  KthreadQueues queues;
  queues.rx = {layout.RxRing(base, k), sizes.rx_slots, &block->app_heads.head0};
  queues.tx = {layout.TxRing(base, k), sizes.tx_slots, &block->iokernel_heads.head0};
  queues.fill = {layout.FillRing(base, k), sizes.fill_slots, &block->iokernel_heads.head1};
  queues.tx_buffers = layout.TxBuffer(base, k, 0);
  queues.tx_mask = sizes.tx_slots - 1;
  queues.tx_batch = std::min(kDrainBurst, sizes.tx_slots / 4 - 1);
  return queues;
}

}  // namespace

DataplaneApp::DataplaneApp(std::unique_ptr<State> state) : state_(std::move(state)) {}
DataplaneApp::~DataplaneApp() = default;

tl::expected<std::unique_ptr<DataplaneApp>, std::string> DataplaneApp::Make(const AppParams& params) {
  if (!abi::RegionLayout::Valid(params.geometry)) {
    return tl::unexpected("the sizes of " + params.name + "'s rings and buffers are out of bounds");
  }
  if (params.geometry.buffer_size < params.mtu) {
    return tl::unexpected("buffers of " + std::to_string(params.geometry.buffer_size) +
                          " bytes do not hold an MTU of " + std::to_string(params.mtu));
  }
  const abi::RegionLayout layout(params.geometry);
  auto region = Region::Make(params.name, layout.bytes());
  if (!region) return tl::unexpected(region.error());

  SteeringOptions options;
  options.max_kthreads = static_cast<uint16_t>(params.geometry.kthreads);
  options.cores = params.cores;
  options.flows = params.flows;
  options.app = params.id;
  const std::string unique = params.name + "." + std::to_string(params.epoch);
  options.unique = unique.c_str();
  auto steering = MakeSteering(params.steering, options);
  if (!steering) return tl::unexpected(steering.error());

  auto state = std::make_unique<State>(std::move(*region));
  state->params = params;
  state->net = {params.address, params.prefix_bits};
  state->layout = layout;
  state->steering = std::move(*steering);
  state->pool = BufferPool(params.geometry.rx_buffers, params.buffer_order);
  state->fill_below = std::min(params.geometry.rx_buffers, params.geometry.rx_buffers / 2 + kBurst);
  std::byte* base = state->region.base();
  WriteHeader(*layout.Header(base), params, layout.bytes());
  state->queues.reserve(params.geometry.kthreads);
  state->memory.line = layout.App(base);
  state->memory.rx_slots = params.geometry.rx_slots;
  for (uint32_t k = 0; k < params.geometry.kthreads; ++k) {
    state->queues.push_back(MakeQueues(layout, base, k));
    abi::KthreadBlock* block = layout.Kthread(base, k);
    state->memory.kthreads.push_back({&block->signal, &block->grant});
  }
  state->polled.reserve(params.geometry.kthreads);
  state->kthread_counters = std::vector<KthreadCounters>(params.geometry.kthreads);
  state->counters.buffers_free.Set(params.geometry.rx_buffers);
  return std::unique_ptr<DataplaneApp>(new DataplaneApp(std::move(state)));
}

const AppParams& DataplaneApp::params() const { return state_->params; }
int DataplaneApp::region_fd() const { return state_->region.fd(); }
size_t DataplaneApp::region_bytes() const { return state_->region.bytes(); }
std::byte* DataplaneApp::base() const { return state_->region.base(); }
const abi::RegionLayout& DataplaneApp::layout() const { return state_->layout; }
const AppCounters& DataplaneApp::counters() const { return state_->counters; }
std::span<const KthreadCounters> DataplaneApp::kthread_counters() const { return state_->kthread_counters; }
uint64_t DataplaneApp::resident_bytes() const { return state_->region.resident_bytes(); }

uint64_t DataplaneApp::table_bytes() const {
  return SteeringMemoryBytes(state_->params.steering, state_->params.flows);
}

}  // namespace sluice
