// result.h - what a run of a load generator says, in the one JSON form of the project.
//
// A figure that could not be measured honestly is null, and `why` says why. A percentile p is given only if
// the samples reach that far out, the client sent in time, and the percentile does not lie among what was lost.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "iokernel/abi/histogram.h"

namespace sluice::apps {

// The counts of one measured interval; the latencies are of its received replies.
struct RunCounts {
  double seconds = 0;
  uint64_t planned = 0;   // requests that were due
  uint64_t sent = 0;      // of these, really sent
  uint64_t received = 0;  // of these, answered
  uint64_t late = 0;      // sent more than `late_limit_ns` after they were due
  uint64_t late_limit_ns = 0;
  uint64_t out_of_order = 0;
  uint64_t duplicates = 0;
  // Replies whose request was steered to another kthread than the previous one sent on its flow; null when the
  // server says nothing of kthreads.
  std::optional<uint64_t> packets_core_changed;
  std::optional<uint64_t> packets_stolen;
  // What stands under "why" when there are no latencies at all.
  std::string why_no_latency = "no reply came";
};

struct Figure {
  std::optional<double> value;
  std::string why;  // when there is no value
};

// The percentile in us, or why it cannot be given.
[[nodiscard]] Figure HonestPercentile(double percent, const abi::Histogram& latency_ns, const RunCounts& counts);

// A JSON object, one line. `facts` are further members: their values are JSON texts.
[[nodiscard]] std::string ResultJson(const RunCounts& counts, const abi::Histogram& latency_ns,
                                     const std::map<std::string, std::string>& facts);

// Writes `text` and a line end to `path`, "-" being the standard output. False: errno says why.
[[nodiscard]] bool WriteText(const std::string& path, const std::string& text);

}  // namespace sluice::apps
