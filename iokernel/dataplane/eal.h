// eal.h - DPDK's environment, started once per process, with hugepages if there are any, else without.
//
// The control thread makes it first and destroys it last. EAL memory is fixed at start: the caller says how much
// its tables and packet buffers need (PortMemoryBytes, steering tables).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <tl/expected.hpp>

namespace sluice {

struct EalOptions {
  size_t memory_bytes = 0;      // of tables and packet buffers; a margin is added
  std::string unique;           // names this instance: letters, digits, '-', '_'
  std::string pci_address;      // the one PCI device to take; empty: no PCI at all
  bool allow_hugepages = true;  // false: never, as tests want it
  bool verbose = false;         // let DPDK print more than errors
};

class Eal {
 public:
  // Error: a sentence with the cause and the way out. May be called once in a process.
  static tl::expected<std::unique_ptr<Eal>, std::string> Start(const EalOptions& options);
  // Also removes the run directory that DPDK leaves.
  ~Eal();
  Eal(const Eal&) = delete;
  Eal& operator=(const Eal&) = delete;

  // One line: what memory it runs on, and why.
  [[nodiscard]] const std::string& summary() const { return summary_; }
  [[nodiscard]] bool hugepages() const { return hugepages_; }

 private:
  Eal() = default;
  std::string summary_;
  std::string run_dir_;
  bool hugepages_ = false;
};

}  // namespace sluice
