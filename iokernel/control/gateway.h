// gateway.h - the control thread's way to the dataplane loop, so that it can be tested without one.
#pragma once

#include <cstdint>

#include "iokernel/dataplane/loop.h"

namespace sluice {

class DataplaneGateway {
 public:
  virtual ~DataplaneGateway() = default;
  [[nodiscard]] virtual bool Post(const Command& command) = 0;  // false: full, try again
  [[nodiscard]] virtual bool NextReply(Reply* reply) = 0;
  [[nodiscard]] virtual bool NextNotice(Notice* notice) = 0;
  [[nodiscard]] virtual const LoopCounters& loop_counters() const = 0;
  [[nodiscard]] virtual const AllocatorCounters& allocator_counters() const = 0;
  [[nodiscard]] virtual const AllocatorOptions& allocator_options() const = 0;
  [[nodiscard]] virtual Recorder& recorder() = 0;
};

// The real one.
class LoopGateway final : public DataplaneGateway {
 public:
  explicit LoopGateway(Loop& loop) : loop_(loop) {}
  bool Post(const Command& command) override { return loop_.Post(command); }
  bool NextReply(Reply* reply) override { return loop_.NextReply(reply); }
  bool NextNotice(Notice* notice) override { return loop_.NextNotice(notice); }
  const LoopCounters& loop_counters() const override { return loop_.counters(); }
  const AllocatorCounters& allocator_counters() const override { return loop_.allocator().counters(); }
  const AllocatorOptions& allocator_options() const override { return loop_.allocator().options(); }
  Recorder& recorder() override { return loop_.recorder(); }

 private:
  Loop& loop_;
};

}  // namespace sluice
