// app.h - one attached app as the dataplane loop holds it: its region, rings, RX buffers, steering.
//
// Made and freed by the control thread; between the replies to kAttach and kDetach it is the loop's alone,
// counters excepted. Nothing here is read back from shared memory: every size, offset and position is ours.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <tl/expected.hpp>

#include "iokernel/abi/region.h"
#include "iokernel/brain/allocator.h"
#include "iokernel/dataplane/buffer_pool.h"
#include "iokernel/dataplane/counters.h"
#include "policies/registry.h"

namespace sluice {

struct AppParams {
  AppId id = kNoApp;
  std::string name;
  uint32_t address = 0;  // IPv4, host order
  uint8_t prefix_bits = 24;
  uint16_t mtu = 1500;
  uint64_t epoch = 1;
  abi::Geometry geometry;
  uint16_t guaranteed = 0;
  Priority priority = Priority::kLatencyCritical;
  std::string steering = "rss";
  uint32_t flows = 700'000;
  uint64_t tsc_hz = 0;
  uint64_t features = 0;  // abi::Feature bits in force
  uint32_t slice_us = 0;  // of its uthreads; 0: none
  bool shared_cpus = false;
  uint16_t cores = 1;  // core slots of the machine
  BufferOrder buffer_order = BufferOrder::kLifo;
};

class DataplaneApp {
 public:
  // Makes the sealed, prefaulted region, the buffer pool and the steering table. Error: a sentence.
  static tl::expected<std::unique_ptr<DataplaneApp>, std::string> Make(const AppParams& params);
  ~DataplaneApp();
  DataplaneApp(const DataplaneApp&) = delete;
  DataplaneApp& operator=(const DataplaneApp&) = delete;

  [[nodiscard]] const AppParams& params() const;
  [[nodiscard]] int region_fd() const;  // to be sent to the app; stays ours
  [[nodiscard]] size_t region_bytes() const;
  [[nodiscard]] std::byte* base() const;
  [[nodiscard]] const abi::RegionLayout& layout() const;
  [[nodiscard]] const AppCounters& counters() const;
  [[nodiscard]] std::span<const KthreadCounters> kthread_counters() const;
  [[nodiscard]] uint64_t table_bytes() const;     // memory of the steering policy
  [[nodiscard]] uint64_t resident_bytes() const;  // less than region_bytes(): the app has punched holes

  struct State;
  State& state() { return *state_; }  // the loop's

 private:
  explicit DataplaneApp(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sluice
