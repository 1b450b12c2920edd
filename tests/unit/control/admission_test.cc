// admission_test.cc - who may attach, and as what.
#include "iokernel/control/admission.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "iokernel/control/units.h"
#include "tests/unit/control/machine.h"

namespace sluice {
namespace {

using abi::AnswerCode;

class AdmissionTest : public testing::Test {
 protected:
  AdmissionTest() {
    const Checked checked = CheckToml(R"(
[iokernel]
cores = ["1-4"]
[policy]
steering = "round-robin"
[net]
address = "10.0.0.1/29"
routes = ["10.64.0.0/10 via 10.0.0.2"]
[[app]]
name = "fixed"
address = "10.0.0.4"
guaranteed = 2
max = 3
steering = "rss"
flows = 1000
[[app]]
name = "batch"
priority = "best-effort"
)");
    EXPECT_THAT(checked.errors, testing::IsEmpty());
    config = checked.config;
  }
  auto Admit(const AttachWish& wish, const std::vector<Holder>& holders = {}) {
    return Admission(config, 1500, 1'000'000'000).Admit(wish, holders);
  }
  void ExpectRefused(const AttachWish& wish, AnswerCode code, const std::string& sentence,
                     const std::vector<Holder>& holders = {}) {
    const auto params = Admit(wish, holders);
    ASSERT_FALSE(params.has_value()) << sentence;
    EXPECT_EQ(params.error().code, code);
    EXPECT_EQ(params.error().sentence, sentence);
  }
  static AttachWish Named(const std::string& name) {
    AttachWish wish;
    wish.name = name;
    return wish;
  }

  Config config;
};

TEST_F(AdmissionTest, AnEntryIsFoundByName) {
  const auto params = Admit(Named("fixed"));
  ASSERT_TRUE(params.has_value());
  EXPECT_EQ(FormatIpv4(params->address), "10.0.0.4");
  EXPECT_EQ(params->prefix_bits, 29);
  EXPECT_EQ(params->guaranteed, 2);
  EXPECT_EQ(params->geometry.kthreads, 3u);
  EXPECT_EQ(params->steering, "rss");
  EXPECT_EQ(params->flows, 1000u);
  EXPECT_TRUE(abi::RegionLayout::Valid(params->geometry));
}

TEST_F(AdmissionTest, WithoutAnEntryAnAppGetsTheDefaultsAndAFreeAddress) {
  const auto params = Admit(Named("other"), {{.name = "x", .address = 0x0a000003}});
  ASSERT_TRUE(params.has_value());
  // .1 is iokerneld's, .2 the gateway's, .3 taken, .4 kept for `fixed`.
  EXPECT_EQ(FormatIpv4(params->address), "10.0.0.5");
  EXPECT_EQ(params->guaranteed, 0);
  EXPECT_EQ(params->geometry.kthreads, 4u);
  EXPECT_EQ(params->steering, "round-robin");
  EXPECT_EQ(params->priority, Priority::kLatencyCritical);
}

TEST_F(AdmissionTest, WishesAreBoundedByTheEntry) {
  AttachWish wish = Named("fixed");
  wish.kthreads = 100;
  wish.guaranteed = 1;
  wish.flows = 500;
  wish.steering = "flow-affinity";
  wish.priority = 2;
  const auto params = Admit(wish);
  ASSERT_TRUE(params.has_value());
  EXPECT_EQ(params->geometry.kthreads, 3u);
  EXPECT_EQ(params->guaranteed, 1);
  EXPECT_EQ(params->flows, 500u);
  EXPECT_EQ(params->steering, "rss");
  EXPECT_EQ(params->priority, Priority::kBestEffort);
  wish = Named("batch");
  wish.priority = 1;
  EXPECT_EQ(Admit(wish)->priority, Priority::kBestEffort);
}

TEST_F(AdmissionTest, RefusalsSayWhy) {
  AttachWish wish = Named("a");
  wish.address = 0x0a000102;
  ExpectRefused(wish, AnswerCode::kAddressNotOurs, "10.0.1.2 is no host's address in iokerneld's network 10.0.0.0/29");
  wish.address = 0x0a000007;  // broadcast
  ExpectRefused(wish, AnswerCode::kAddressNotOurs, "10.0.0.7 is no host's address in iokerneld's network 10.0.0.0/29");
  wish.address = 0x0a000001;
  ExpectRefused(wish, AnswerCode::kAddressTaken, "10.0.0.1 is iokerneld's own address");
  wish.address = 0x0a000004;
  ExpectRefused(wish, AnswerCode::kAddressTaken,
                "10.0.0.4 is kept by iokerneld's config, for another app or a gateway");
  wish.address = 0x0a000003;
  ExpectRefused(wish, AnswerCode::kAddressTaken, "10.0.0.3 is held by pid 4711 (memcached)",
                {{.name = "m", .address = 0x0a000003, .pid = 4711, .command = "memcached"}});
  wish = Named("fixed");
  wish.address = 0x0a000003;
  ExpectRefused(wish, AnswerCode::kAddressNotOurs, "the config gives fixed the address 10.0.0.4, not 10.0.0.3");
  ExpectRefused(Named("m"), AnswerCode::kNameTaken, "the name m is held by pid 4711 (memcached), which is just leaving",
                {{.name = "m", .pid = 4711, .command = "memcached", .leaving = true}});
}

TEST_F(AdmissionTest, GuaranteesAddUpToTheCores) {
  AttachWish wish = Named("a");
  wish.guaranteed = 2;
  EXPECT_TRUE(Admit(wish).has_value());
  wish.guaranteed = 3;  // `fixed` is not there, but its guarantee is
  ExpectRefused(wish, AnswerCode::kNoCores, "guaranteed cores would be 3 + 2 (fixed) = 5, and there are 4");
  ExpectRefused(wish, AnswerCode::kNoCores, "guaranteed cores would be 3 + 1 (b) + 2 (fixed) = 6, and there are 4",
                {{.name = "b", .address = 0x0a000003, .guaranteed = 1}});
  wish.guaranteed = 5;
  ExpectRefused(wish, AnswerCode::kNoCores, "5 guaranteed cores are more than the 4 that a can use");
  wish = Named("fixed");
  wish.guaranteed = 3;
  ExpectRefused(wish, AnswerCode::kNoCores, "the config guarantees fixed 2 cores, it asks for 3");
}

TEST_F(AdmissionTest, AddressesRunOut) {
  std::vector<Holder> holders;
  for (uint32_t host : {3u, 5u, 6u}) {
    holders.push_back({.name = "h" + std::to_string(host), .address = 0x0a000000 + host});
  }
  ExpectRefused(Named("a"), AnswerCode::kNoFreeAddress, "every address in 10.0.0.0/29 is taken", holders);
  config.address.reset();
  ExpectRefused(Named("a"), AnswerCode::kNoFreeAddress,
                "iokerneld has no network to take an address from; start it with --address ADDRESS/BITS");
}

TEST_F(AdmissionTest, EveryNumberOfKthreadsGivesAValidRegion) {
  for (uint16_t slots = 1; slots <= kMaxCores; slots = static_cast<uint16_t>(slots * 2)) {
    config.core_cpus.assign(slots, 1);
    for (const uint16_t mtu : {uint16_t{68}, uint16_t{1500}, uint16_t{9000}}) {
      const auto params = Admission(config, mtu, 1'000'000'000).Admit(Named("a"), {});
      ASSERT_TRUE(params.has_value());
      EXPECT_EQ(params->geometry.kthreads, slots);
      EXPECT_TRUE(abi::RegionLayout::Valid(params->geometry)) << slots << " kthreads, MTU " << mtu;
      EXPECT_GE(params->geometry.buffer_size, mtu);
    }
  }
}

}  // namespace
}  // namespace sluice
