// instance.h - one running iokerneld: its run directory, and the promise that it is alone.
//
// The run directory holds `lock` (flock), `pid` and the socket `control`. The kernel drops the lock and the
// port's claim when the process dies, however it dies, so what a killed daemon left is simply taken over.
#pragma once

#include <string>
#include <tl/expected.hpp>

#include "iokernel/control/config.h"

namespace sluice {

class Instance {
 public:
  // Error: a sentence that names the pid that holds the directory or the port.
  static tl::expected<Instance, std::string> Acquire(const std::string& run_dir, const PortConfig& port);
  Instance(Instance&& other) noexcept;
  Instance& operator=(Instance&&) = delete;
  ~Instance();  // removes the files, and the directory if we made it

  [[nodiscard]] int control_fd() const { return control_fd_; }  // listening, non-blocking, SOCK_SEQPACKET
  [[nodiscard]] const std::string& run_dir() const { return run_dir_; }

 private:
  Instance() = default;

  std::string run_dir_;
  bool made_dir_ = false;
  bool made_socket_ = false;
  int lock_fd_ = -1;
  int port_fd_ = -1;
  int control_fd_ = -1;
};

}  // namespace sluice
