// instance.h - one running iokerneld: its run directory, and the promise that it is alone.
//
// The run directory holds `lock` (flock), `pid` and the socket `control`. The kernel drops the lock and the
// port's claim when the process dies, however it dies, so what a killed daemon left is simply taken over.
#pragma once

#include <string>
#include <tl/expected.hpp>

#include "iokernel/control/config.h"
#include "iokernel/control/file_descriptor.h"

namespace sluice {

struct InstanceError {
  bool in_use = false;  // another process has the directory or the port: the sentence names its pid
  std::string sentence;
};

class Instance {
 public:
  static tl::expected<Instance, InstanceError> Acquire(const std::string& run_dir, const PortConfig& port);
  Instance(Instance&& other) = default;
  Instance& operator=(Instance&&) = delete;
  ~Instance();  // removes the files, and the directory if an iokerneld made it

  [[nodiscard]] int control_fd() const { return control_.get(); }  // listening, non-blocking, SOCK_SEQPACKET
  [[nodiscard]] const std::string& run_dir() const { return run_dir_; }

 private:
  Instance() = default;

  std::string run_dir_;
  bool made_dir_ = false;
  FileDescriptor lock_;  // moved from: no longer ours to tidy up
  FileDescriptor port_;
  FileDescriptor control_;
};

}  // namespace sluice
