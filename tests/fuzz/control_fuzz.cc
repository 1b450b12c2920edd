// control_fuzz.cc - any bytes as a message on the control socket: a refusal with a code and a sentence, or a wish
// within its bounds; and whatever is admitted has a valid region and nobody else's address.
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "iokernel/abi/check.h"
#include "iokernel/control/admission.h"
#include "iokernel/control/messages.h"

namespace sluice {
namespace {

Config MakeConfig() {
  Config config;
  config.core_cpus = {1, 2, 3, 4};
  config.address = Ipv4Net{0x0a000001, 24};
  config.routes.push_back({Ipv4Net{0x0a400000, 10}, 0x0a0000fe});
  AppConfig app;
  app.name = "fixed";
  app.address = 0x0a000003;
  app.guaranteed = 2;
  app.max = 3;
  config.apps.push_back(app);
  return config;
}

void CheckRefusal(const Refusal& refusal) {
  SLUICE_CHECK(refusal.code != abi::AnswerCode::kOk, "a refusal that says it is none");
  SLUICE_CHECK(!refusal.sentence.empty(), "a refusal without a sentence");
  const auto answer = MakeAttachAnswer(refusal);
  SLUICE_CHECK(answer.size() == sizeof(abi::AttachAnswer), "an answer of the wrong length");
}

void CheckAttach(const AttachWish& wish) {
  static const Config kConfig = MakeConfig();
  static const Admission kAdmission(kConfig, 1500, 1'000'000'000);
  std::vector<Holder> holders(1);
  holders[0].name = "held";
  holders[0].address = 0x0a000004;
  holders[0].guaranteed = 1;
  const auto params = kAdmission.Admit(wish, holders);
  if (!params) return CheckRefusal(params.error());
  SLUICE_CHECK(abi::RegionLayout::Valid(params->geometry), "a region that cannot be");
  SLUICE_CHECK(params->geometry.kthreads <= kConfig.core_cpus.size(), "more kthreads than cores");
  SLUICE_CHECK(params->guaranteed <= params->geometry.kthreads, "more guaranteed than it can use");
  SLUICE_CHECK(params->guaranteed + 1u + (wish.name == "fixed" ? 0u : 2u) <= 4u || params->guaranteed == 0,
               "guarantees beyond the cores");
  SLUICE_CHECK(kConfig.address->Contains(params->address), "an address outside the network");
  SLUICE_CHECK(params->address != 0x0a000001 && params->address != 0x0a000004 && params->address != 0x0a0000fe,
               "an address that is somebody else's");
  SLUICE_CHECK((params->address == 0x0a000003) == (wish.name == "fixed"), "an address that the config keeps");
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  const auto message = ParseMessage(std::as_bytes(std::span<const uint8_t>(data, size)));
  if (!message) {
    CheckRefusal(message.error());
  } else if (const auto* wish = std::get_if<AttachWish>(&*message)) {
    CheckAttach(*wish);
  } else if (const auto* threads = std::get_if<ThreadsWish>(&*message)) {
    SLUICE_CHECK(threads->tids.size() <= size / sizeof(uint32_t), "threads that were not sent");
  } else if (const auto* command = std::get_if<CommandWish>(&*message)) {
    const bool has_flow = command->verb <= CommandVerb::kFlowRemove;
    SLUICE_CHECK(!has_flow || (command->tuple.source_port != 0 && command->tuple.destination != 0), "a flow of nobody");
    SLUICE_CHECK(command->app.size() < abi::kMaxName, "a name that is too long");
  } else {
    SLUICE_CHECK(!std::get<QueryWish>(*message).what.empty(), "a query for nothing");
  }
  return 0;
}
