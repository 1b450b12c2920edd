// reference.h - idealised schedulers to judge a real one by: no costs, no delays, perfect knowledge.
//
//   c-fcfs    one queue for all cores; latency-critical apps first, never interrupting
//   d-fcfs    a queue per core, chosen by the hash of the flow
//   jsq:D     a queue per core, the shortest of D drawn at random ("power of two choices": jsq:2)
//   steal     as d-fcfs, but a core without work takes the oldest request of any other
//   steal:N   the same, but only when it becomes idle, from N victims drawn at random
//   ps:SLICE  one queue; after SLICE a request goes to its end. ps:0: all requests share the cores evenly
#pragma once

#include <string_view>
#include <tl/expected.hpp>

#include "apps/simulator/engine/ledger.h"
#include "apps/simulator/engine/request.h"

namespace sluice::sim {

struct ReferenceOptions {
  enum class Kind : uint8_t { kCentral, kPartitioned, kShortest, kStealing, kSliced, kShared };
  Kind kind = Kind::kCentral;
  uint32_t choices = 0;  // kShortest: queues looked at; kStealing: victims, 0: all of them, at any time
  Time slice = 0;        // kSliced
};

// `name` as above. Error: a sentence.
[[nodiscard]] tl::expected<ReferenceOptions, std::string> ParseReference(std::string_view name);

// Runs the whole stream. `best_effort`: by app. Returns the number of events.
uint64_t RunReference(const ReferenceOptions& options, uint16_t cores, const std::vector<bool>& best_effort,
                      uint64_t seed, RequestStream& stream, Ledger& ledger);

}  // namespace sluice::sim
