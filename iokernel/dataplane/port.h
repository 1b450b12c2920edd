// port.h - where frames come from and go to. One queue each way, polled by the dataplane loop.
//
// Port is what the loop sees: a call per burst, never per packet. OpenPort makes one over a DPDK ethdev
// (ethdev_port.cc, the only file that knows ethdev); tests bring their own.
//
// It creates no interface but a TAP and gives an address to none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <tl/expected.hpp>

#include "iokernel/abi/wire.h"
#include "iokernel/dataplane/counters.h"
#include "iokernel/dataplane/settings.h"

struct rte_mbuf;
struct rte_mempool;

namespace sluice {

struct PortCapabilities {
  bool rss_hash = false;        // mbufs carry the Toeplitz hash of abi::kToeplitzKey
  bool rx_ip_checksum = false;  // mbufs say whether the IP header checksum is good
  bool rx_l4_checksum = false;  // ... and the UDP or TCP checksum
  bool tx_ip_checksum = false;  // not used yet: apps fill in checksums
  bool tx_l4_checksum = false;
};

struct PortInfo {
  std::string name;    // as configured: "af_xdp:veth0"
  std::string driver;  // DPDK's name for what drives it
  abi::MacAddress mac{};
  uint16_t mtu = 1500;  // bytes of the longest IP packet
  PortCapabilities capabilities;
  int numa_node = -1;
  std::string warning;  // what an operator should know about it; usually empty
};

class Port {
 public:
  virtual ~Port() = default;
  Port(const Port&) = delete;
  Port& operator=(const Port&) = delete;

  // Dataplane loop. Takes up to `count` frames.
  virtual uint16_t RxBurst(rte_mbuf** out, uint16_t count) = 0;
  // Dataplane loop. Sends a prefix of `frames`, which the port owns then; returns its length.
  virtual uint16_t TxBurst(rte_mbuf** frames, uint16_t count) = 0;

  // Control thread: what the driver itself has lost.
  struct DriverCounters {
    uint64_t rx_missed = 0;  // frames that came while we had no buffer or were too slow
    uint64_t rx_errors = 0;
    uint64_t rx_no_mbuf = 0;  // the packet pool was empty
    uint64_t tx_errors = 0;
  };
  [[nodiscard]] virtual DriverCounters driver_counters() const { return {}; }
  // Control thread: false if the link is down or the interface has gone.
  [[nodiscard]] virtual bool link_up() const { return true; }

  [[nodiscard]] const PortInfo& info() const { return info_; }
  [[nodiscard]] rte_mempool* pool() const { return pool_; }  // where frames to be sent are allocated
  [[nodiscard]] PortCounters& counters() { return counters_; }
  [[nodiscard]] const PortCounters& counters() const { return counters_; }

 protected:
  Port() = default;
  PortInfo info_;
  rte_mempool* pool_ = nullptr;
  PortCounters counters_;
};

struct PortOptions {
  PortConfig config;
  std::string unique;      // distinguishes instances in one process
  uint32_t mbufs = 16384;  // in the port's own pool: both rings and all packets on their way out
  uint16_t rx_ring = 2048;
  uint16_t tx_ring = 2048;
};

// Control thread, after Eal::Start. Error: a sentence with the cause and the way out.
[[nodiscard]] tl::expected<std::unique_ptr<Port>, std::string> OpenPort(const PortOptions& options);

// EAL memory that OpenPort will need.
[[nodiscard]] size_t PortMemoryBytes(const PortOptions& options);

}  // namespace sluice
