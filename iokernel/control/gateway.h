// gateway.h - the control thread's way to the dataplane loop, so that it can be tested without one.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "iokernel/dataplane/loop.h"

namespace sluice {

// Named counters, in the order in which they are to be shown.
using CounterList = std::vector<std::pair<std::string, uint64_t>>;

class DataplaneGateway {
 public:
  virtual ~DataplaneGateway() = default;
  [[nodiscard]] virtual bool Post(const Command& command) = 0;  // false: full, try again
  [[nodiscard]] virtual bool NextReply(Reply* reply) = 0;
  [[nodiscard]] virtual bool NextNotice(Notice* notice) = 0;
  // Of the machine, not of an app.
  [[nodiscard]] virtual CounterList LoopCounterList() const = 0;
};

// The real one.
class LoopGateway final : public DataplaneGateway {
 public:
  explicit LoopGateway(Loop& loop) : loop_(loop) {}
  bool Post(const Command& command) override { return loop_.Post(command); }
  bool NextReply(Reply* reply) override { return loop_.NextReply(reply); }
  bool NextNotice(Notice* notice) override { return loop_.NextNotice(notice); }
  CounterList LoopCounterList() const override;

 private:
  Loop& loop_;
};

}  // namespace sluice
