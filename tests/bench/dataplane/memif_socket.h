// memif_socket.h - a UDP socket of a host of its own, whose network card is one end of a memif.
//
// So that netperf's client can talk to iokerneld past Linux's network stack. It knows its neighbour by ARP and answers
// ARP; it polls, and yields the CPU when nothing has come.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <tl/expected.hpp>

#include "apps/lib/transport.h"
#include "iokernel/dataplane/port.h"

namespace sluice::bench {

class MemifSocket final : public apps::DatagramSocket {
 public:
  // The client's end of the memif at `path`; waits until the other end is there. Error: a sentence.
  static tl::expected<std::unique_ptr<MemifSocket>, std::string> Open(const std::string& path, uint32_t address);
  ~MemifSocket() override;

  // Learns the MAC address of `address`. Error: a sentence.
  [[nodiscard]] tl::expected<void, std::string> Resolve(uint32_t address);

  tl::expected<apps::Received, apps::TransportError> Receive(std::span<std::byte> buffer,
                                                             apps::Clock::time_point deadline) override;
  // To an address that Resolve learnt last. `to` may be any port of it.
  tl::expected<void, apps::TransportError> Send(std::span<const std::byte> bytes, const apps::Endpoint& to) override;

 private:
  MemifSocket(std::unique_ptr<Port> port, uint32_t address) : port_(std::move(port)), address_(address) {}

  rte_mbuf* Next();  // a frame that came, or null
  std::optional<apps::Received> OnIp(std::span<const std::byte> packet, std::span<std::byte> buffer) const;
  void OnArp(std::span<const std::byte> packet);
  void SendArp(uint16_t operation, const abi::MacAddress& to, uint32_t target);
  bool Transmit(rte_mbuf* frame);

  std::unique_ptr<Port> port_;
  const uint32_t address_;
  uint32_t peer_ = 0;
  std::optional<abi::MacAddress> peer_mac_;
  std::array<rte_mbuf*, 32> burst_{};
  uint16_t next_ = 0;
  uint16_t count_ = 0;
};

}  // namespace sluice::bench
