// Ports over DPDK's own virtual devices, and what is said when one cannot be opened.
#include <gmock/gmock.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "iokernel/dataplane/interface.h"
#include "tests/unit/dataplane/world.h"

namespace sluice::test {
namespace {

using ::testing::HasSubstr;

PortOptions Options(PortKind kind, const std::string& text, const std::string& argument) {
  testing::StartEal();
  PortOptions options;
  options.config = {kind, text, argument};
  options.mbufs = 1024;
  options.rx_ring = options.tx_ring = 256;
  return options;
}

TEST(Port, NullOpensAndCloses) {
  for (int i = 0; i < 2; ++i) {  // twice: nothing of the first is left
    auto port = OpenPort(Options(PortKind::kNull, "null", ""));
    ASSERT_TRUE(port.has_value()) << port.error();
    EXPECT_EQ((*port)->info().name, "null");
    EXPECT_EQ((*port)->info().mtu, 1500);
    rte_mbuf* frames[4];
    EXPECT_EQ((*port)->RxBurst(frames, 4), 0) << "it invents no frames";
    ASSERT_EQ(rte_pktmbuf_alloc_bulk((*port)->pool(), frames, 4), 0);
    EXPECT_EQ((*port)->TxBurst(frames, 4), 4);
  }
}

TEST(Port, SaysWhatIsMissing) {
  struct {
    PortKind kind;
    const char* text;
    const char* argument;
    const char* says;
  } const cases[] = {
      {PortKind::kNone, "", "", "none is configured"},
      {PortKind::kAfXdp, "af_xdp:nope0", "nope0", "interface nope0 does not exist"},
      {PortKind::kAfXdp, "af_xdp:nope0", "nope0", "lo"},  // those that do
      {PortKind::kAfPacket, "af_packet:nope0", "nope0", "interface nope0 does not exist"},
      {PortKind::kAfPacket, "af_packet:", "", "does not exist"},
      {PortKind::kTap, "tap:lo", "lo", "exists already"},
      {PortKind::kTap, "tap:", "", "1 to 15 characters"},
      {PortKind::kTap, "tap:a-name-that-is-too-long", "a-name-that-is-too-long", "1 to 15 characters"},
      {PortKind::kMemif, "memif:", "", "memif:/path"},
      {PortKind::kPci, "pci:", "", "lspci"},
      {PortKind::kPci, "pci:0000:ff:1f.7", "0000:ff:1f.7", "vfio-pci"},
  };
  for (const auto& c : cases) {
    const auto port = OpenPort(Options(c.kind, c.text, c.argument));
    ASSERT_FALSE(port.has_value()) << c.text;
    EXPECT_THAT(port.error(), HasSubstr(c.says));
    EXPECT_THAT(port.error(), HasSubstr(c.text));
  }
}

TEST(Port, TwoMemifsOfOneProcessCarryFrames) {
  namespace fs = std::filesystem;
  const fs::path socket = fs::temp_directory_path() / ("sluice-memif-" + std::to_string(getpid()));
  auto server_options = Options(PortKind::kMemif, "memif:" + socket.string(), socket.string());
  server_options.unique = "server";
  auto client_options = Options(PortKind::kMemif, "memif:client", "role=client,id=0,socket=" + socket.string());
  client_options.unique = "client";
  {
    auto server = OpenPort(server_options);
    ASSERT_TRUE(server.has_value()) << server.error();
    auto client = OpenPort(client_options);
    ASSERT_TRUE(client.has_value()) << client.error();
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!(*server)->link_up() || !(*client)->link_up()) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "the two ends do not meet";
      std::this_thread::yield();
    }
    const Bytes sent = UdpFrame();
    rte_mbuf* frame = rte_pktmbuf_alloc((*client)->pool());
    ASSERT_NE(frame, nullptr);
    std::memcpy(rte_pktmbuf_append(frame, static_cast<uint16_t>(sent.size())), sent.data(), sent.size());
    ASSERT_EQ((*client)->TxBurst(&frame, 1), 1);
    rte_mbuf* got = nullptr;
    while ((*server)->RxBurst(&got, 1) == 0) ASSERT_LT(std::chrono::steady_clock::now(), deadline);
    const auto* begin = rte_pktmbuf_mtod(got, const std::byte*);
    EXPECT_EQ(Bytes(begin, begin + got->data_len), sent);
    rte_pktmbuf_free(got);
  }
  fs::remove(socket);
}

TEST(Interface, LoopbackIsThere) {
  const InterfaceInfo info = LookAtInterface("lo");
  EXPECT_TRUE(info.exists);
  EXPECT_THAT(InterfaceNames(), HasSubstr("lo"));
  EXPECT_FALSE(LookAtInterface("").exists);
  EXPECT_FALSE(LookAtInterface("a-name-that-is-too-long").exists);
}

TEST(Port, MemoryIsEnoughForWhatItOpens) {
  PortOptions options;
  EXPECT_GT(PortMemoryBytes(options), size_t{options.mbufs} * RTE_MBUF_DEFAULT_BUF_SIZE);
}

}  // namespace
}  // namespace sluice::test
