// flow_desk.h - `sluicectl explain` and `sluicectl flow ...`: from the command to the loop and back, as JSON.
//
// The loop owns the steering policies, so a command becomes questions to it (dataplane/loop.h), one at a time, and
// may outlive its connection: what the loop has been asked stays here until it has answered.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "iokernel/abi/toeplitz.h"
#include "iokernel/control/config.h"
#include "iokernel/control/messages.h"
#include "iokernel/control/tenants.h"

namespace sluice {

class FlowDesk {
 public:
  FlowDesk(Tenants& tenants, const Config& config) : tenants_(tenants), config_(config) {}

  struct Done {
    uint64_t session = 0;
    tl::expected<std::string, Refusal> answer;
  };
  // Asks the loop. An answer at once if there is nothing to ask.
  std::optional<Done> Take(uint64_t session, const CommandWish& wish);
  // The loop has answered; nothing if there is more to ask.
  std::optional<Done> OnAnswer(FlowQuestion& question);

 private:
  struct Job {
    uint64_t session = 0;
    CommandWish wish;
    AppId app = kNoApp;
    std::vector<AppId> later;  // flow-list: apps still to be asked
    std::string listed;        // JSON of the flows so far
    FlowQuestion question;
  };
  [[nodiscard]] const Tenant* Owner(uint32_t address) const;
  [[nodiscard]] const Tenant* Attached(AppId app) const;
  std::optional<Done> ListNext(std::unique_ptr<Job> job);
  void Ask(std::unique_ptr<Job> job);
  [[nodiscard]] std::string Explanation(const Job& job, const Tenant& tenant) const;

  Tenants& tenants_;
  const Config& config_;
  const abi::ToeplitzTable toeplitz_;
  std::map<const FlowQuestion*, std::unique_ptr<Job>> asked_;
};

}  // namespace sluice
