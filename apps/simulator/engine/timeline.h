// timeline.h - who had which core when, for a trace viewer (chrome://tracing, ui.perfetto.dev).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "apps/simulator/engine/time.h"
#include "policies/views.h"

namespace sluice::sim {

class Timeline {
 public:
  // Of more than `limit` grants the first are kept.
  explicit Timeline(uint16_t cores, size_t limit = 200'000) : open_(cores), limit_(limit) {}

  void Granted(AppId app, KthreadId kthread, CoreId core, Time now) { open_[core] = {app, kthread, core, now, 0}; }
  void Parked(CoreId core, Time now) {
    if (grants_.size() >= limit_) return;
    open_[core].end = now;
    grants_.push_back(open_[core]);
  }
  // The trace event format: a JSON object.
  [[nodiscard]] std::string Json(const std::vector<std::string>& app_names) const;

 private:
  struct Grant {
    AppId app = kNoApp;
    KthreadId kthread = 0;
    CoreId core = 0;
    Time begin = 0, end = 0;
  };
  std::vector<Grant> open_;  // by core
  std::vector<Grant> grants_;
  size_t limit_;
};

}  // namespace sluice::sim
