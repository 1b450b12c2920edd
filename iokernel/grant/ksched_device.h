// ksched_device.h - /dev/ksched as the IOKernel sees it: the one file that knows its calls and its shared pages.
//
// Threads: Adopt and Release on any; Grant, Cede, Yield and Kick on one thread, the request lines' only writer.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "ksched/ksched_uapi.h"

namespace sluice {

class KschedDevice {
 public:
  // Error: a sentence with the way out.
  [[nodiscard]] static tl::expected<std::unique_ptr<KschedDevice>, std::string> Claim();
  ~KschedDevice();
  KschedDevice(const KschedDevice&) = delete;
  KschedDevice& operator=(const KschedDevice&) = delete;

  // CPUs that the module knows: 0 to cpus() - 1.
  [[nodiscard]] uint32_t cpus() const { return cpus_; }

  // The handle of a thread that has enrolled; the error is an errno, ESRCH if it has not.
  [[nodiscard]] tl::expected<uint32_t, int> Adopt(pid_t process, pid_t thread);
  // These return 0 or an errno.
  int Release(uint32_t handle);
  int Evict(uint32_t handle);

  // Writes the grant of a CPU to a thread; returns its generation. It is carried out when the CPU is kicked, or by
  // itself where the CPU watches (Watching), or when the present holder parks. `issued`: the time stamp counter now.
  uint32_t Grant(uint32_t cpu, uint32_t handle, uint64_t issued);
  // To be followed by a kick.
  void Cede(uint32_t cpu, uint32_t generation);
  void Yield(uint32_t cpu);
  // 0 or an errno.
  int Kick(uint32_t cpu);
  int KickAll(std::span<const uint32_t> cpus);

  // True if the CPU will see a grant that was written before this was called without being kicked.
  [[nodiscard]] bool Watching(uint32_t cpu) const;
  [[nodiscard]] uint32_t Served(uint32_t cpu) const;  // generation carried out or refused last
  [[nodiscard]] int Outcome(uint32_t cpu) const;      // of that one: 0 or a negative errno
  [[nodiscard]] uint32_t Holder(uint32_t cpu) const;  // handle, 0: none
  [[nodiscard]] ksched_stats Stats(uint32_t cpu) const;

 private:
  KschedDevice() = default;
  [[nodiscard]] void* Map(size_t offset, size_t bytes, int protection) const;

  int fd_ = -1;
  uint32_t cpus_ = 0;
  ksched_request* requests_ = nullptr;
  const ksched_status* status_ = nullptr;
  const ksched_stats* stats_ = nullptr;
  std::vector<uint32_t> generations_;  // by CPU: of the last grant
};

}  // namespace sluice
