// ethdev_port.cc - a Port over one DPDK ethdev. The only file that knows ethdev.
#include <rte_bus_vdev.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "iokernel/abi/toeplitz.h"
#include "iokernel/dataplane/interface.h"
#include "iokernel/dataplane/packet_pool.h"
#include "iokernel/dataplane/port.h"
#include "iokernel/dataplane/port_args.h"

namespace sluice {
namespace {

constexpr uint64_t kRssTypes = RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV4_UDP;
constexpr uint64_t kRxL4Checksum = RTE_ETH_RX_OFFLOAD_UDP_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM;
constexpr uint64_t kTxL4Checksum = RTE_ETH_TX_OFFLOAD_UDP_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM;

// What DPDK logs while this lives, instead of on stderr.
class LogCapture {
 public:
  LogCapture() : stream_(open_memstream(&text_, &bytes_)) {
    if (stream_ != nullptr) rte_openlog_stream(stream_);
  }
  ~LogCapture() {
    rte_openlog_stream(nullptr);
    if (stream_ != nullptr) std::fclose(stream_);
    std::free(text_);
  }
  LogCapture(const LogCapture&) = delete;
  LogCapture& operator=(const LogCapture&) = delete;

  // On one line.
  [[nodiscard]] std::string Text() {
    if (stream_ == nullptr) return "";
    std::fflush(stream_);
    std::string line(text_ == nullptr ? "" : text_, bytes_);
    while (!line.empty() && line.back() == '\n') line.pop_back();
    std::replace(line.begin(), line.end(), '\n', ';');
    return line;
  }

 private:
  char* text_ = nullptr;
  size_t bytes_ = 0;
  FILE* stream_;
};

class EthdevPort final : public Port {
 public:
  ~EthdevPort() override;

  tl::expected<void, std::string> Open(const PortOptions& options);

  uint16_t RxBurst(rte_mbuf** out, uint16_t count) override { return rte_eth_rx_burst(id_, 0, out, count); }
  uint16_t TxBurst(rte_mbuf** frames, uint16_t count) override { return rte_eth_tx_burst(id_, 0, frames, count); }

  [[nodiscard]] DriverCounters driver_counters() const override;
  [[nodiscard]] bool link_up() const override;

 private:
  tl::expected<void, std::string> Probe(const PortOptions& options);
  tl::expected<void, std::string> Configure(const PortOptions& options);
  void Describe(const PortConfig& config);

  PortArguments arguments_;
  uint16_t id_ = RTE_MAX_ETHPORTS;
  bool probed_ = false;
};

tl::expected<void, std::string> EthdevPort::Open(const PortOptions& options) {
  auto arguments = MakePortArguments(options.config, options.unique.empty() ? "0" : options.unique);
  if (!arguments) return tl::unexpected(arguments.error());
  arguments_ = *arguments;
  info_.name = options.config.text;
  info_.warning = arguments_.warning;
  auto done = Probe(options);
  return done ? Configure(options) : done;
}

tl::expected<void, std::string> EthdevPort::Probe(const PortOptions& options) {
  LogCapture log;
  const int result = arguments_.virtual_device
                         ? rte_eal_hotplug_add("vdev", arguments_.device.c_str(), arguments_.arguments.c_str())
                         : rte_eth_dev_get_port_by_name(arguments_.device.c_str(), &id_);  // EAL has probed it at start
  probed_ = result == 0 && arguments_.virtual_device;
  if (result != 0 || rte_eth_dev_get_port_by_name(arguments_.device.c_str(), &id_) != 0) {
    return tl::unexpected(WhyPortFailed(options.config, log.Text()));
  }
  return {};
}

tl::expected<void, std::string> EthdevPort::Configure(const PortOptions& options) {
  LogCapture log;
  const auto failed = [&](const char* step, int error) {
    return tl::unexpected(WhyPortFailed(
        options.config, std::string(step) + ": " + rte_strerror(error < 0 ? -error : error) + "; " + log.Text()));
  };

  rte_eth_dev_info device{};
  if (const int error = rte_eth_dev_info_get(id_, &device); error != 0) return failed("asking the device", error);
  const int node = rte_eth_dev_socket_id(id_);
  Describe(options.config);

  const auto room = static_cast<uint16_t>(RTE_PKTMBUF_HEADROOM + std::max(2048, info_.mtu + 64));
  // The kernel takes AF_XDP's buffers page by page, and a PCI device may.
  const bool within_pages = options.config.kind == PortKind::kAfXdp || options.config.kind == PortKind::kPci;
  pool_ = MakePacketPool("sluice_" + arguments_.device, options.mbufs, room, node, within_pages);
  if (pool_ == nullptr) return failed("making the packet pool", rte_errno);

  rte_eth_conf wanted{};
  PortCapabilities& can = info_.capabilities;
  can.rx_ip_checksum = (device.rx_offload_capa & RTE_ETH_RX_OFFLOAD_IPV4_CKSUM) != 0;
  can.rx_l4_checksum = (device.rx_offload_capa & kRxL4Checksum) == kRxL4Checksum;
  can.tx_ip_checksum = (device.tx_offload_capa & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM) != 0;
  can.tx_l4_checksum = (device.tx_offload_capa & kTxL4Checksum) == kTxL4Checksum;
  can.rss_hash = (device.rx_offload_capa & RTE_ETH_RX_OFFLOAD_RSS_HASH) != 0 &&
                 (device.flow_type_rss_offloads & kRssTypes) == kRssTypes &&
                 device.hash_key_size == abi::kToeplitzKeyBytes;
  if (can.rx_ip_checksum) wanted.rxmode.offloads |= RTE_ETH_RX_OFFLOAD_IPV4_CKSUM;
  if (can.rx_l4_checksum) wanted.rxmode.offloads |= kRxL4Checksum;
  auto key = abi::kDefaultToeplitzKey;
  if (can.rss_hash) {
    // The same key and fields as our own Toeplitz, so a flow's hash does not depend on the port.
    wanted.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    wanted.rxmode.offloads |= RTE_ETH_RX_OFFLOAD_RSS_HASH;
    wanted.rx_adv_conf.rss_conf = {key.data(), static_cast<uint8_t>(key.size()), kRssTypes};
  }
  // Every frame we send is from our one pool, in one segment and ours alone.
  wanted.txmode.offloads = device.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
  if (const int error = rte_eth_dev_configure(id_, 1, 1, &wanted); error != 0) return failed("configuring it", error);

  uint16_t rx_ring = options.rx_ring;
  uint16_t tx_ring = options.tx_ring;
  if (const int error = rte_eth_dev_adjust_nb_rx_tx_desc(id_, &rx_ring, &tx_ring); error != 0) {
    return failed("sizing its queues", error);
  }
  if (const int error = rte_eth_rx_queue_setup(id_, 0, rx_ring, node, nullptr, pool_); error != 0) {
    return failed("setting up its receive queue", error);
  }
  if (const int error = rte_eth_tx_queue_setup(id_, 0, tx_ring, node, nullptr); error != 0) {
    return failed("setting up its send queue", error);
  }
  if (const int error = rte_eth_dev_start(id_); error != 0) return failed("starting it", error);
  return {};
}

void EthdevPort::Describe(const PortConfig& config) {
  rte_eth_dev_info device{};
  if (rte_eth_dev_info_get(id_, &device) == 0 && device.driver_name != nullptr) info_.driver = device.driver_name;
  info_.numa_node = rte_eth_dev_socket_id(id_);
  rte_ether_addr mac{};
  rte_eth_macaddr_get(id_, &mac);
  std::memcpy(info_.mac.data(), mac.addr_bytes, info_.mac.size());
  // The MAC of a TAP is that of Linux's end; ours must be another one.
  if (config.kind == PortKind::kTap) info_.mac[5] ^= 1;
  rte_eth_dev_get_mtu(id_, &info_.mtu);
  if (const InterfaceInfo linux_says = LookAtInterface(arguments_.interface); linux_says.exists && linux_says.mtu > 0) {
    info_.mtu = linux_says.mtu;
  }
}

EthdevPort::~EthdevPort() {
  LogCapture log;  // a device that goes has nothing to say that matters
  if (id_ != RTE_MAX_ETHPORTS) {
    rte_eth_dev_stop(id_);
    rte_eth_dev_close(id_);
  }
  if (probed_) rte_eal_hotplug_remove("vdev", arguments_.device.c_str());
  rte_mempool_free(pool_);
}

Port::DriverCounters EthdevPort::driver_counters() const {
  rte_eth_stats stats{};
  if (rte_eth_stats_get(id_, &stats) != 0) return {};
  return {stats.imissed, stats.ierrors, stats.rx_nombuf, stats.oerrors};
}

bool EthdevPort::link_up() const {
  if (!arguments_.interface.empty()) {
    const InterfaceInfo info = LookAtInterface(arguments_.interface);
    return info.exists && info.up && info.carrier;
  }
  rte_eth_link link{};
  return rte_eth_link_get_nowait(id_, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
}

}  // namespace

tl::expected<std::unique_ptr<Port>, std::string> OpenPort(const PortOptions& options) {
  auto port = std::make_unique<EthdevPort>();
  if (auto opened = port->Open(options); !opened) return tl::unexpected(opened.error());
  return port;
}

size_t PortMemoryBytes(const PortOptions& options) {
  // Without hugepages a packet takes a whole page (packet_pool.h); per descriptor at most 128 bytes in any driver.
  constexpr size_t kPerMbuf = 4096;
  return options.mbufs * kPerMbuf + (size_t{options.rx_ring} + options.tx_ring) * 128;
}

}  // namespace sluice
